// Dates: days from civil and back, by formula and by counting; weekdays, ISO weeks, Easter, time stamps as text.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))
#define CHECK(ok) ((ok) ? (void)0 : fail(__LINE__, #ok))

static uint32_t digest = 2166136261u;
static volatile uint32_t seed = 2463534242u;

_Noreturn static void fail(int line, const char *what) { printf("line %d: %s\n", line, what), exit(1); }
static void mix(uint32_t value) { digest = (digest ^ value) * 16777619u ^ digest >> 15; }
NOINLINE static uint32_t rnd(void) {
    uint32_t x = seed;
    x ^= x << 13, x ^= x >> 17, x ^= x << 5;
    seed = x;
    return x;
}

typedef struct { int year, month, day; } Date;

static int is_leap(int y) { return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0; }

static int month_days(int y, int m) { return m == 2 ? 28 + is_leap(y) : 30 + ((m + (m >> 3)) & 1); }

NOINLINE static int64_t days_from_civil(int y, int m, int d) {
    y -= m <= 2;
    int era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
    int of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return (int64_t)era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static Date civil_from_days(int64_t days) {
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int of_era = (int)(days - era * 146097);
    int y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int of_year = of_era - (365 * y + y / 4 - y / 100), mp = (5 * of_year + 2) / 153;
    int m = mp < 10 ? mp + 3 : mp - 9;
    return (Date){y + (int)era * 400 + (m <= 2), m, of_year - (153 * mp + 2) / 5 + 1};
}

static void next_day(Date *d) {
    if (++d->day <= month_days(d->year, d->month)) return;
    d->day = 1;
    if (++d->month <= 12) return;
    d->month = 1;
    d->year++;
}

static int weekday(int64_t days) { return (int)(days >= -4 ? (days + 4) % 7 : (days + 5) % 7 + 6); }

NOINLINE static int sakamoto(int y, int m, int d) {
    static const int8_t shift[] = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4};
    y -= m < 3;
    return (y + y / 4 - y / 100 + y / 400 + shift[m - 1] + d) % 7;
}

static void iso_week(Date d, int *year, int *week) {
    int64_t days = days_from_civil(d.year, d.month, d.day), thursday = days + 3 - (weekday(days) + 6) % 7;
    *year = civil_from_days(thursday).year;
    *week = (int)((thursday - days_from_civil(*year, 1, 1)) / 7) + 1;
}

static Date easter(int y) {
    int a = y % 19, b = y / 100, c = y % 100, d = (19 * a + b - b / 4 - (b - (b + 8) / 25 + 1) / 3 + 15) % 30;
    int e = (32 + 2 * (b % 4) + 2 * (c / 4) - d - c % 4) % 7, f = d + e - 7 * ((a + 11 * d + 22 * e) / 451) + 114;
    return (Date){y, f / 31, f % 31 + 1};
}

NOINLINE static void format(int64_t seconds, char *out) {
    int64_t days = seconds / 86400, rest = seconds % 86400;
    if (rest < 0) rest += 86400, days--;
    Date d = civil_from_days(days);
    char *p = out;
    for (int k = 1000; k; k /= 10) *p++ = (char)('0' + d.year / k % 10);
    const int parts[] = {d.month, d.day, (int)(rest / 3600), (int)(rest / 60 % 60), (int)(rest % 60)};
    for (int i = 0; i < 5; i++) *p++ = "--T::"[i], *p++ = (char)('0' + parts[i] / 10),
        *p++ = (char)('0' + parts[i] % 10);
    *p = 0;
}

static int parse(const char *text, int64_t *seconds) {
    int y, m, d, hour, minute, second, used = 0;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &y, &m, &d, &hour, &minute, &second, &used) != 6 ||
        text[used]) return 0;
    if (m < 1 || m > 12 || d < 1 || d > month_days(y, m) || hour > 23 || minute > 59 || second > 59) return 0;
    *seconds = ((days_from_civil(y, m, d) * 24 + hour) * 60 + minute) * 60 + second;
    return 1;
}

int main(void) {
    Date d = {1896, 2, 20};
    int64_t days = days_from_civil(d.year, d.month, d.day);
    for (int i = 0; i < 4000; i++, next_day(&d), days++) {
        Date back = civil_from_days(days);
        CHECK(days_from_civil(d.year, d.month, d.day) == days);
        CHECK(back.year == d.year && back.month == d.month && back.day == d.day);
        CHECK(weekday(days) == sakamoto(d.year, d.month, d.day));
        mix((uint32_t)(back.day * 7 + weekday(days)));
    }
    CHECK(days_from_civil(1970, 1, 1) == 0 && days_from_civil(2000, 3, 1) == 11017 &&
          days_from_civil(-1, 12, 31) == -719529);
    static const struct { Date date; int year, week; } weeks[] = {
        {{2005, 1, 1}, 2004, 53}, {{2005, 12, 31}, 2005, 52}, {{2008, 12, 29}, 2009, 1}, {{2010, 1, 3}, 2009, 53},
            {{2024, 2, 29}, 2024, 9}};
    for (int i = 0; i < 5; i++) {
        int y, w;
        iso_week(weeks[i].date, &y, &w);
        CHECK(y == weeks[i].year && w == weeks[i].week);
    }
    for (int i = 0; i < 400; i++) {
        int64_t v = (int64_t)rnd() * 60 - 120000000000, back;
        char text[24];
        Date c = civil_from_days(v >> 8);
        CHECK(days_from_civil(c.year, c.month, c.day) == v >> 8 && c.day <= month_days(c.year, c.month));
        v = v / 3 + 1000000000;
        if (v < -30000000000) v = -v;
        format(v, text);
        CHECK(strlen(text) == 19 && parse(text, &back) && back == v);
        for (int k = 0; k < 19; k++) mix((unsigned char)text[k]);
        Date sunday = easter(1800 + i);
        CHECK(weekday(days_from_civil(sunday.year, sunday.month, sunday.day)) == 0 &&
              (sunday.month == 3 || sunday.month == 4));
    }
    Date e = easter(2024), f = easter(1961);
    CHECK(e.month == 3 && e.day == 31 && f.month == 4 && f.day == 2);
    int64_t s;
    CHECK(!parse("2023-02-29T00:00:00", &s) && parse("2024-02-29T23:59:59", &s) && s == 1709251199 &&
          !parse("2024-02-2", &s));
    char text[24];
    format(-1, text);
    CHECK(!strcmp(text, "1969-12-31T23:59:59"));
    printf("digest %08x\n", digest);
    return 0;
}
