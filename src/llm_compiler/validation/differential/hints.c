/* Which values of its input the code looks at, and what it compares them with: the end of runtime.c, which it is appended to.
 * Loads, comparisons and indices call in here by clang's -fsanitize-coverage (trace-loads, trace-cmp, trace-gep); functions of
 * the C library that compare memory are the ones below. Hints are only taken in runs that are asked to trace.
 */

/* Memory outside the arena that was filled from the input: the stack, extern variables. */
static void give(u64 start, u64 size, u64 path, int32_t layout) {
  if (S->tracing) S->given[S->givens++ % MAX_GIVEN] = (struct given){start, size, path, layout};
}

static u8 kind_of(int32_t index, u64 offset) {
  if (index < 0 || !S->layout[index].size) return K_INT;
  struct layout *layout = &S->layout[index];
  offset %= layout->size;
  for (u32 i = 0; i < layout->slots; i++) {
    struct slot *slot = &S->slot[layout->slot + i];
    if (offset >= slot->offset && offset < slot->offset + slot->size) return slot->kind;
  }
  return K_INT;
}

/* The place of an address and what lies there, if the input decides that. */
static int place_of(u64 address, u64 *path, u32 *offset, u8 *kind) {
  if (address >= ARENA && address < ARENA_END) {
    struct region *region = find(address & ~(REGION - 1));
    *path = region->path; *offset = (u32)(address & (REGION - 1));
    if (region->base && *offset >= ORIGIN) *kind = kind_of(region->layout, *offset - ORIGIN);
    return region->base != 0;
  }
  for (u32 i = S->givens; i-- > 0 && i + MAX_GIVEN >= S->givens;) {
    struct given *given = &S->given[i % MAX_GIVEN];
    if (address - given->start >= given->size) continue;
    *path = given->path; *offset = (u32)(address - given->start); *kind = kind_of(given->layout, *offset);
    return 1;
  }
  return 0;
}

static void see(u64 where, u64 path, u32 offset, u8 kind, u8 size, u64 value) {
  u32 at = 0;
  while (at < S->seens && !(S->seen[at].path == path && S->seen[at].offset == offset && S->seen[at].size == size)) at++;
  if (at == S->seens) {
    if (S->seens < MAX_SEEN) S->seens++;
    else at = MAX_SEEN / 2 + S->seen_next++ % (MAX_SEEN / 2); /* what was seen first stays */
    S->seen[at] = (struct seen){where, path, value, offset, 0, kind, size};
  }
  S->seen[at].value = value;
  S->seen[at].when = ++S->clock;
}

static void hint(struct hint hint) {
  u32 count = SH->record.hints, alike = 0;
  if (count >= (hint.type == H_LOADED ? MAX_HINTS : MAX_HINTS - MAX_SEEN)) return;
  for (u32 i = 0; i < count; i++) {
    struct hint *other = &SH->hint[i];
    if (other->where != hint.where || other->type != hint.type || (hint.group && other->group == hint.group)) continue;
    if (other->path == hint.path && other->offset == hint.offset && other->wanted == hint.wanted) return;
    if (++alike >= 16) return;
  }
  SH->hint[SH->record.hints++] = hint;
}

/* A value was compared with another: where does it come from? */
static void match(u64 where, u64 value, u64 wanted, u32 size) {
  struct seen *best = 0;
  u64 mask = size >= 8 ? ~0ul : (1ul << 8 * size) - 1;
  for (u32 i = 0; i < S->seens; i++) {
    struct seen *seen = &S->seen[i];
    u32 shift = seen->size < 8 ? 64 - 8 * seen->size : 0;
    int same = !((seen->value ^ value) & mask) || !(((u64)((i64)(seen->value << shift) >> shift) ^ value) & mask);
    if (same && seen->kind != K_POINTER && (!best || seen->when > best->when)) best = seen;
  }
  if (best) hint((struct hint){where, best->path, best->value, wanted, best->offset, H_COMPARED, best->kind, best->size, 0});
}

static void tell_loads(void) {
  for (u32 i = 0; i < S->seens; i++) {
    struct seen *seen = &S->seen[i];
    hint((struct hint){seen->where, seen->path, seen->value, 0, seen->offset, H_LOADED, seen->kind, seen->size, 0});
  }
}

static void loaded(u64 where, u64 address, u32 size) {
  u64 path, value = 0;
  u32 offset;
  u8 kind = K_INT;
  if (!S->running || !S->tracing || S->in_runtime || is_closed(address) || !place_of(address, &path, &offset, &kind)) return;
  copy(&value, (void *)address, size);
  see(where, path, offset, kind, (u8)size, value);
}
#define LOADED(size) void __sanitizer_cov_load##size(u64 at) { loaded((u64)__builtin_return_address(0), at, size); }
LOADED(1)
LOADED(2)
LOADED(4)
LOADED(8)
void __sanitizer_cov_load16(u64 at) { (void)at; }

/* An index by which no object is large enough: the pointer is undefined, whether it is followed or only compared. */
void __sanitizer_cov_trace_gep(u64 index) {
  if (S->running && index + (1ul << 46) >= 1ul << 47) finish(S_UNDEFINED, 0);
}

/* How two values compare at a place: inputs that meet a new case there (one less, equal, one more …) are kept. */
static void compared(u64 place, u64 a, u64 b) {
  u64 difference = a - b, size = difference >> 63 ? -difference : difference;
  u32 bucket = size == 0 ? 0 : size == 1 ? 1 : size < 16 ? 2 : size < 4096 ? 3 : 4;
  u32 at = (u32)((mix(place, 17) + bucket * 2 + (difference >> 63)) % FEATURES);
  S->feature[at / 64] |= 1ul << (at % 64);
}
static void compare(u64 where, u64 a, u64 b, u32 size, int constant) {
  if (!S->running) return;
  compared(where, a, b);
  if (!S->tracing || S->in_runtime) return;
  if (!constant) match(where, a, b, size);
  match(where, b, a, size);
}
#define COMPARED(name, type, constant) \
  void name(type a, type b) { compare((u64)__builtin_return_address(0), (u64)(i64)a, (u64)(i64)b, sizeof a, constant); }
COMPARED(__sanitizer_cov_trace_cmp1, int8_t, 0)
COMPARED(__sanitizer_cov_trace_cmp2, int16_t, 0)
COMPARED(__sanitizer_cov_trace_cmp4, int32_t, 0)
COMPARED(__sanitizer_cov_trace_cmp8, i64, 0)
COMPARED(__sanitizer_cov_trace_const_cmp1, int8_t, 1)
COMPARED(__sanitizer_cov_trace_const_cmp2, int16_t, 1)
COMPARED(__sanitizer_cov_trace_const_cmp4, int32_t, 1)
COMPARED(__sanitizer_cov_trace_const_cmp8, i64, 1)
void __sanitizer_cov_trace_switch(u64 value, u64 *cases) {
  u64 where = (u64)__builtin_return_address(0);
  if (!S->running) return;
  for (u64 i = 0; i < cases[0] && i < 256; i++) {
    if (cases[2 + i] == value) compared(where + i, value, value);
    if (S->tracing && !S->in_runtime && i < 16) match(where + i, value, cases[2 + i], (u32)cases[1] / 8);
  }
}

/* Where the input holds bytes that were copied from it: their address, or 0. */
static u64 original(const u8 *bytes, u64 size) {
  for (u32 i = 0; i < S->pages && i < 64; i++) {
    const u8 *page = (u8 *)S->page[i];
    if (is_closed((u64)page)) continue;
    for (u64 at = 0; at + size <= PAGE; at++) {
      u64 same = 0;
      while (same < size && page[at + same] == bytes[same]) same++;
      if (same == size) return (u64)page + at;
    }
  }
  return 0;
}

/* Bytes were compared with others, or read as a text of some form. */
static void want_bytes(u64 where, const u8 *at, const u8 *wanted, u64 size) {
  u64 path, address = (u64)at;
  u32 offset;
  u8 kind;
  if (S->groups >= 255) return;
  if (size > 8 * MAX_PATCHES) size = 8 * MAX_PATCHES;
  if (!place_of(address, &path, &offset, &kind)) {
    address = size >= 3 && (address >= STACK || (address >= HEAP && address < HEAP + HEAP_SIZE)) ? original(at, size < 16 ? size : 16) : 0;
    if (!address || !place_of(address, &path, &offset, &kind)) return;
  }
  u8 group = (u8)++S->groups;
  for (u64 i = 0; i < size; i += 8) {
    u64 part = size - i < 8 ? size - i : 8, value = 0;
    copy(&value, wanted + i, part);
    hint((struct hint){where, path, 0, value, offset + (u32)i, H_BYTES, K_BYTES, (u8)part, group});
  }
}

static int order(u64 where, const u8 *a, const u8 *b, u64 size, int text, int folded) {
  u64 at = 0, end = size;
  int difference = 0;
  for (; at < size; at++) {
    int x = a[at], y = b[at];
    if (folded) { x = x >= 'A' && x <= 'Z' ? x + 32 : x; y = y >= 'A' && y <= 'Z' ? y + 32 : y; }
    difference = x - y;
    if (difference || (text && !a[at])) break;
  }
  if (!S->running || !S->tracing || !difference) return difference;
  if (text) for (end = 0; end < size && b[end];) end++;
  want_bytes(where, a, b, text && end < size ? end + 1 : end);
  if (text) for (end = 0; end < size && a[end];) end++;
  want_bytes(where, b, a, text && end < size ? end + 1 : end);
  return difference;
}
#define WHERE (u64)__builtin_return_address(0)
WEAK int memcmp(const void *a, const void *b, size_t size) { return order(WHERE, a, b, size, 0, 0); }
WEAK int bcmp(const void *a, const void *b, size_t size) { return order(WHERE, a, b, size, 0, 0); }
WEAK int strcmp(const char *a, const char *b) { return order(WHERE, (u8 *)a, (u8 *)b, ~0ul, 1, 0); }
WEAK int strncmp(const char *a, const char *b, size_t size) { return order(WHERE, (u8 *)a, (u8 *)b, size, 1, 0); }
WEAK int strcasecmp(const char *a, const char *b) { return order(WHERE, (u8 *)a, (u8 *)b, ~0ul, 1, 1); }
WEAK int strncasecmp(const char *a, const char *b, size_t size) { return order(WHERE, (u8 *)a, (u8 *)b, size, 1, 1); }

/* A text that a format of scanf reads to its end. */
static void want_format(u64 where, const u8 *text, const u8 *format) {
  u8 wanted[8 * MAX_PATCHES];
  u64 size = 0;
  if (!S->running || !S->tracing) return;
  while (*format && size + 4 < sizeof wanted) {
    if (*format != '%' || format[1] == '%') { format += *format == '%'; wanted[size++] = *format++; continue; }
    u8 conversion = 0, width = 0;
    while (*++format) {
      if (*format >= '0' && *format <= '9') width = (u8)(10 * width + *format - '0');
      else if (*format != '*' && *format != 'h' && *format != 'l' && *format != 'j' && *format != 'z') { conversion = *format; break; }
    }
    if (!conversion || conversion == '[') break;
    format++;
    /* As many digits as a width allows: the next conversion may follow at once. */
    for (u8 i = 0; i < (width ? width : 2) && size + 1 < sizeof wanted; i++) {
      wanted[size] = (u8)("123456789"[(size + i) % 9]);
      size++;
    }
  }
  wanted[size++] = 0;
  want_bytes(where, text, wanted, size);
}
int vsscanf(const char *, const char *, va_list);
#define SCANS(name) \
  WEAK int name(const char *text, const char *format, ...) { \
    want_format(WHERE, (u8 *)text, (u8 *)format); \
    va_list list; va_start(list, format); \
    int count = vsscanf(text, format, list); \
    va_end(list); \
    return count; \
  }
SCANS(sscanf)
SCANS(__isoc99_sscanf)
