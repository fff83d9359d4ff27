// Standard containers against arrays: map, vector of vectors, string keys, priority queue; counts, ranges, erasure.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <queue>
#include <string>
#include <vector>

#define NOINLINE __attribute__((noinline))
#define CHECK(ok) ((ok) ? (void)0 : fail(__LINE__, #ok))

static uint32_t digest = 2166136261u;
static volatile uint32_t seed = 2463534242u;

[[noreturn]] static void fail(int line, const char *what) { std::printf("line %d: %s\n", line, what), std::exit(1); }
static void mix(uint32_t value) { digest = (digest ^ value) * 16777619u ^ digest >> 15; }
NOINLINE static uint32_t rnd() {
    uint32_t x = seed;
    x ^= x << 13, x ^= x >> 17, x ^= x << 5;
    seed = x;
    return x;
}

NOINLINE static std::string spell(uint32_t v) {
    static const char *const syllables[] = {"ka", "lo", "mi", "nu", "pe", "ra", "so", "ti"};
    std::string s;
    do s += syllables[v & 7];
    while (v >>= 3);
    return s;
}

static uint32_t unspell(const std::string &s) {
    uint32_t v = 0;
    const std::string all = "kalominuperasoti";
    for (size_t i = s.size(); i >= 2; i -= 2) v = v << 3 | static_cast<uint32_t>(all.find(s.substr(i - 2, 2)) / 2);
    return v;
}

static std::string join(const std::vector<std::string> &parts, const std::string &between) {
    std::string r;
    for (const auto &p : parts) {
        if (&p != &parts.front()) r += between;
        r.append(p);
    }
    return r;
}

NOINLINE static std::vector<std::string> split(const std::string &s, char mark) {
    std::vector<std::string> r;
    for (size_t from = 0, to; from <= s.size(); from = to + 1) {
        to = s.find(mark, from);
        if (to == std::string::npos) to = s.size();
        r.emplace_back(s, from, to - from);
    }
    return r;
}

struct Event {
    uint32_t time, id;
    bool operator<(const Event &o) const { return time != o.time ? time > o.time : id > o.id; }
};

static std::vector<std::vector<int>> pascal(int n) {
    std::vector<std::vector<int>> rows;
    for (int i = 0; i < n; i++) {
        std::vector<int> row(static_cast<size_t>(i) + 1, 1);
        for (size_t j = 1; j + 1 < row.size(); j++) row[j] = rows.back()[j - 1] + rows.back()[j];
        rows.push_back(std::move(row));
    }
    return rows;
}

int main() {
    std::map<std::string, int> words;
    int model[300] = {};
    for (int i = 0; i < 900; i++) {
        uint32_t v = rnd() % 300;
        std::string s = spell(v);
        CHECK(unspell(s) == v);
        if (i % 4 == 3) CHECK(words.erase(s) == (model[v] != 0)), model[v] = 0;
        else words[s] += i, model[v] += i;
    }
    int count = 0;
    for (int v = 0; v < 300; v++) {
        auto found = words.find(spell(static_cast<uint32_t>(v)));
        CHECK((found == words.end()) == (model[v] == 0) && (found == words.end() || found->second == model[v]));
        count += model[v] != 0;
    }
    CHECK(words.size() == static_cast<size_t>(count));
    std::vector<std::string> keys;
    for (const auto &[key, value] : words) keys.push_back(key), mix(static_cast<uint32_t>(value));
    CHECK(std::is_sorted(keys.begin(), keys.end()) &&
          words.lower_bound("m") == words.find(*std::lower_bound(keys.begin(), keys.end(), "m")));
    std::string all = join(keys, ",");
    CHECK(split(all, ',') == keys && split("", ',').size() == 1 && split(",a,", ',').size() == 3);

    for (int round = 0; round < 20; round++) {
        std::priority_queue<Event> queue;
        uint32_t now = 0, done = 0, pushed = 5;
        for (uint32_t i = 0; i < 5; i++) queue.push({rnd() % 10, i});
        while (!queue.empty()) {
            Event e = queue.top();
            queue.pop();
            CHECK(e.time >= now);
            now = e.time;
            mix(e.id ^ now << 8);
            if (pushed < 60) queue.push({now + e.id % 7, pushed++});
            done++;
        }
        CHECK(done == pushed);
    }
    auto rows = pascal(25);
    for (int i = 0; i < 25; i++) {
        int sum = 0, alternating = 0;
        for (int j = 0; j <= i; j++) {
            int v = rows[static_cast<size_t>(i)][static_cast<size_t>(j)];
            sum += v, alternating += j & 1 ? -v : v;
        }
        CHECK(sum == 1 << i && alternating == (i == 0));
    }
    std::multimap<int, char> multi;
    for (int i = 0; i < 50; i++) multi.emplace(i * 7 % 10, static_cast<char>('a' + i % 26));
    CHECK(multi.count(3) == 5 && std::distance(multi.lower_bound(2), multi.upper_bound(5)) == 20);
    std::string text = "the quick brown fox";
    text.replace(4, 5, "slow").insert(0, 3, '*').erase(text.size() - 3);
    CHECK(text == "***the slow brown " && text.rfind('w') == 15 && text.compare(3, 3, "the") == 0);
    std::transform(text.begin(), text.end(), text.begin(), [](char c) { return c == ' ' ? '_' : c; });
    for (char c : text) mix(static_cast<unsigned char>(c));
    std::printf("digest %08x\n", digest);
    return 0;
}
