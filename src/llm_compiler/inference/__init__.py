"""What models are asked at run time, and how their answers are checked before anybody sees them."""
