"""The only room that touches ctypes and LLVM's programs."""
