// Templates and virtual functions: a small vector, shapes behind an interface, and a sweep over their boxes.
#include <stddef.h>
#include <stdint.h>

namespace {

template <typename T, size_t N>
class Vector {
public:
    bool push(const T &item) {
        if (size_ == N) return false;
        items_[size_++] = item;
        return true;
    }
    T &operator[](size_t index) { return items_[index]; }
    const T &operator[](size_t index) const { return items_[index]; }
    size_t size() const { return size_; }
    void clear() { size_ = 0; }

    template <typename Less>
    void sort(Less less) {
        for (size_t end = 1; end < size_; end++)
            for (size_t at = end; at > 0 && less(items_[at], items_[at - 1]); at--) {
                T held = items_[at];
                items_[at] = items_[at - 1];
                items_[at - 1] = held;
            }
    }

private:
    T items_[N];
    size_t size_ = 0;
};

template <typename T>
T smaller(T left, T right) { return left < right ? left : right; }
template <typename T>
T larger(T left, T right) { return left < right ? right : left; }

}  // namespace

struct Point {
    int x, y;
};

struct Box {
    int left, bottom, right, top;
    bool meets(const Box &other) const {
        return left <= other.right && other.left <= right && bottom <= other.top && other.bottom <= top;
    }
    Box with(Point point) const {
        return {smaller(left, point.x), smaller(bottom, point.y), larger(right, point.x), larger(top, point.y)};
    }
};

class Shape {
public:
    virtual ~Shape();
    virtual Box box() const = 0;
    virtual int64_t twice_area() const = 0;
    virtual bool holds(Point point) const = 0;
};

Shape::~Shape() {}

class Circle : public Shape {
public:
    Circle(Point centre, int radius) : centre_(centre), radius_(radius) {}
    Box box() const override {
        return {centre_.x - radius_, centre_.y - radius_, centre_.x + radius_, centre_.y + radius_};
    }
    int64_t twice_area() const override { return 2 * int64_t(radius_) * radius_ * 355 / 113; }
    bool holds(Point point) const override {
        int64_t x = point.x - centre_.x, y = point.y - centre_.y;
        return x * x + y * y <= int64_t(radius_) * radius_;
    }

private:
    Point centre_;
    int radius_;
};

class Polygon : public Shape {
public:
    bool add(Point point) { return points_.push(point); }
    Box box() const override {
        Box all = {points_[0].x, points_[0].y, points_[0].x, points_[0].y};
        for (size_t index = 1; index < points_.size(); index++) all = all.with(points_[index]);
        return all;
    }
    int64_t twice_area() const override {
        int64_t sum = 0;
        for (size_t index = 0; index < points_.size(); index++) {
            Point here = points_[index], next = points_[(index + 1) % points_.size()];
            sum += int64_t(here.x) * next.y - int64_t(next.x) * here.y;
        }
        return sum < 0 ? -sum : sum;
    }
    bool holds(Point point) const override {
        bool inside = false;
        for (size_t index = 0; index < points_.size(); index++) {
            Point a = points_[index], b = points_[(index + 1) % points_.size()];
            if ((a.y > point.y) == (b.y > point.y)) continue;
            int64_t cross = int64_t(b.x - a.x) * (point.y - a.y) - int64_t(point.x - a.x) * (b.y - a.y);
            if ((cross > 0) == (b.y > a.y)) inside = !inside;
        }
        return inside;
    }

private:
    Vector<Point, 32> points_;
};

class Scene {
public:
    bool add(Shape *shape) { return shapes_.push({shape, shape->box()}); }

    // Pairs of shapes whose boxes meet, by a sweep from left to right.
    size_t meeting(Vector<Point, 64> &pairs) {
        shapes_.sort([](const Entry &a, const Entry &b) { return a.box.left < b.box.left; });
        pairs.clear();
        for (size_t one = 0; one < shapes_.size(); one++)
            for (size_t other = one + 1; other < shapes_.size(); other++) {
                if (shapes_[other].box.left > shapes_[one].box.right) break;
                if (shapes_[one].box.meets(shapes_[other].box)) pairs.push({int(one), int(other)});
            }
        return pairs.size();
    }

    const Shape *at(Point point) const {
        const Shape *found = nullptr;
        for (size_t index = 0; index < shapes_.size(); index++) {
            const Shape *shape = shapes_[index].shape;
            if (shape->holds(point) && (!found || shape->twice_area() < found->twice_area())) found = shape;
        }
        return found;
    }

private:
    struct Entry {
        Shape *shape;
        Box box;
    };
    Vector<Entry, 64> shapes_;
};

size_t count_meeting(Scene &scene) {
    Vector<Point, 64> pairs;
    return scene.meeting(pairs);
}

int64_t area_at(const Scene &scene, int x, int y) {
    const Shape *shape = scene.at({x, y});
    return shape ? shape->twice_area() / 2 : 0;
}

bool add_square(Scene &scene, Polygon &polygon, int x, int y, int side) {
    static const int corners[4][2] = {{0, 0}, {1, 0}, {1, 1}, {0, 1}};
    for (const auto &corner : corners)
        if (!polygon.add({x + corner[0] * side, y + corner[1] * side})) return false;
    return scene.add(&polygon);
}

bool add_circle(Scene &scene, Circle &circle) { return scene.add(&circle); }
