/* The process around one object under test: reads a plan and inputs, calls functions, reports what they did.
 *
 * Inputs are lists of 64-bit seeds. Every value that the code under test can see is a pure function of the input and of the
 * place where it is found (argument 2; field at offset 8 of what argument 2 points to; third result of `read`), so two
 * objects get equal inputs however different the order of their accesses. Memory behind pointers appears at the first touch.
 * An input may also name bytes that stand at a place instead (patches), and calls that come before and after.
 * All state is at fixed addresses outside the image, so that the image's own data can be put back between inputs.
 * No C library but for pure functions; system calls are made directly. x86-64 Linux.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t i64;

#define PAGE 4096ul
#define REGION (1ul << 20)
#define ARENA 0x100000000000ul
#define ARENA_END 0x200000000000ul
#define STATE_AT 0x300000000000ul
#define HEAP 0x310000000000ul
#define HEAP_SIZE (64ul << 20)
#define STACK 0x320000000000ul
#define STACK_SIZE (4ul << 20)
#define SHARED_AT 0x330000000000ul
#define IMAGE_COPY 0x340000000000ul
#define PLAN_AT 0x350000000000ul
#define SCRATCH 0x360000000000ul
#define SCRATCH_SIZE (1ul << 16)
#define SHADOW 0x300000000000ul /* pristine copies of pages: at their address + SHADOW */
#define MAX_PAGES 2048
#define TABLE 8192
#define MAX_SOFT 32768
#define MAX_STACK_OBJECT 512
#define FEATURES 65536u
#define MAX_EVENTS 512
#define MAX_BLOCKS 4096
#define MAX_COUNTERS (1u << 20)
#define FILLED 32768
/* Where an object begins in its region: code may step back, too. No byte but the last is zero, so that what an address left
 * on the stack is not taken for a zero that was stored there. */
#define ORIGIN 0x15540ul
#define LONG_TEXT 0x10000ul /* a length that is small in 8 and in 16 bits */
#define MAX_FRESH 1024
#define MAX_SLOTS 256 /* interface.py describes no more of an element */
#define MAX_LAYERS 16
#define MAX_BEFORE 4
#define MAX_PATCHES 12
#define MAX_HINTS 320 /* a third of them for loads */
#define MAX_SEEN 128
#define MAX_GIVEN 64

enum kind { K_INT, K_FLOAT, K_DOUBLE, K_LONG_DOUBLE, K_POINTER, K_BYTES };
enum status { S_RETURNED, S_ENDED_BY_CALL, S_CRASHED, S_HUNG, S_OUT_OF_MEMORY, S_DISCARDED, S_UNDEFINED };
enum { P_WRITABLE = 1, P_NOALIAS = 2, P_NONNULL = 4, P_RETURNED = 8, P_BYVAL = 16, P_SRET = 32, P_VARIABLE = 64 };
enum { F_NORETURN = 1, F_PURE = 2, F_KEEPS_ERRNO = 4 };
enum { H_COMPARED = 1, H_LOADED, H_BYTES };
enum { E_ARGUMENT = 1, E_CALL, E_CALL_ARGUMENT, E_RESULT, E_MEMORY, E_GLOBAL, E_OUTPUT };

struct layout { u32 size, slot, slots; int32_t thunk; u32 thunks, flags; };
struct slot { u32 offset; u8 kind, size; u16 bits; int32_t target; };
struct param { u8 kind, flags; u16 bits; u32 size; int32_t layout; u32 at, stack_size, by_value; };
struct stub { u64 name; u32 flags, param, params; int32_t result; u32 named, common; };
struct entry { u64 function, driver; u32 param, params; int32_t result; u32 constant, constants, pad; };
struct symbol { u64 address, size, name; };
struct fill { u64 address, size, name; i64 layout; };
struct range { u64 start, end; };
struct plan {
  u32 magic, layouts, slots, params, stubs, entries, constants, string_bytes, symbols, fills, exports, thunks, ctors, ranges, volatiles, pad;
};
struct region { u64 base, path; int32_t layout; u16 freed, met; };
struct block { u64 start, size, freed; };
struct event { u32 type, index; u64 place, value; };

/* What stands at a place instead of what is drawn: the low bytes of `value`. */
struct patch { u64 path; u32 offset, size; u64 value; };
/* after: 1 + the entry that is called next; 0 none. before: entries that are called first. */
struct input { u32 layers, after, befores, patches, before[MAX_BEFORE]; u64 layer[MAX_LAYERS]; struct patch patch[MAX_PATCHES]; };
/* A value of the input that the code looked at. where: in the code; wanted: what it was compared with; group: hints that
 * belong together have the same. */
struct hint { u64 where, path, value, wanted; u32 offset; u8 type, kind, size, group; };
struct seen { u64 where, path, value; u32 offset, when; u8 kind, size; };
struct given { u64 start, size, path; int32_t layout; };

struct record { /* one a run, in shared memory */
  u32 status, signal;
  u64 calls, memory, result; /* hashes of: trace of calls, changed memory, returned value */
  u32 call_count, fresh, soft, events, features, hints, pages, pad; /* features: outcomes of comparisons that no run had before */
  u64 where; /* crash: address; ended by a call: the stub */
};

struct shared {
  volatile u32 done;
  struct record record;
  u8 soft[MAX_SOFT];
  struct event event[MAX_EVENTS];
  struct hint hint[MAX_HINTS];
  u8 counters[MAX_COUNTERS];
};

struct state {
  u64 target, garbage; /* first: `enter` reads them */
  struct plan plan;
  struct layout *layout; struct slot *slot; struct param *param; struct stub *stub; struct entry *entry;
  i64 *constant; u8 *strings; struct symbol *symbol; struct fill *fill, *export, *device; u64 *thunk, *ctor; struct range *range;
  u64 layers[MAX_LAYERS]; u32 layer_count;
  struct patch patch[MAX_PATCHES]; u32 patches;
  struct kin { u64 value; int32_t layout; } kin[16]; u32 kins, earlier; /* objects of calls; how many of earlier ones */
  struct seen seen[MAX_SEEN]; u32 seens, seen_next, clock, groups;
  struct given given[MAX_GIVEN]; u32 givens;
  u32 tracing;
  u32 fill_byte, verbose, running, call_count;
  u64 trace, soft_length;
  struct entry *now, *subject; /* what is called; what the input is of, whose constants it uses */
  struct region table[TABLE]; u32 regions, table_used[TABLE / 2];
  u64 page[MAX_PAGES]; u32 pages;
  struct block block[MAX_BLOCKS]; u32 blocks; u64 heap_next, heap_touched;
  u32 calls_of[4096];
  void *jump[8];
  u8 *counters, *counters_end; u64 *pcs, *pcs_end;
  u64 image_bytes;
  u8 mode_null, mode_int, mode_stub, mode_alias, mode_wide, mode_tiny, mode_same, mode_export, mode_variable;
  int error, first_error; /* errno of the code under test */
  u32 in_runtime, opened; /* a stub is at work; it opened a page of volatile memory */
  u64 step_page, step_address, step_place, read_place; /* the access that is being made; a read that is not yet told */
  u64 freed, feature[FEATURES / 64];
  u8 args[8192], ret[256];
  struct event *event;
};

#define S ((struct state *)STATE_AT)
#define SH ((struct shared *)SHARED_AT)

/* --- system calls ------------------------------------------------------------------------------------------------ */

static long sys(long n, long a, long b, long c, long d, long e, long f) {
  register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}
#define SYS_read 0
#define SYS_write 1
#define SYS_mmap 9
#define SYS_mprotect 10
#define SYS_munmap 11
#define SYS_rt_sigaction 13
#define SYS_setitimer 38
#define SYS_sigaltstack 131
#define SYS_clone 56
#define SYS_exit_group 231
#define SYS_wait4 61

static void *map(u64 at, u64 size, int shared) {
  /* PROT_READ | PROT_WRITE; MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE */
  return (void *)sys(SYS_mmap, at, size, 3, (shared ? 1 : 2) | 0x10 | 0x20 | 0x4000, -1, 0);
}
static void leave(int code) { for (;;) sys(SYS_exit_group, code, 0, 0, 0, 0, 0); }
static void read_all(void *to, u64 size) {
  u8 *at = to;
  while (size) {
    long got = sys(SYS_read, 0, (long)at, size, 0, 0, 0);
    if (got == -4) continue;
    if (got <= 0) leave(0);
    at += got; size -= got;
  }
}
static void write_all(const void *from, u64 size) {
  const u8 *at = from;
  while (size) {
    long put = sys(SYS_write, 1, (long)at, size, 0, 0, 0);
    if (put == -4) continue;
    if (put <= 0) leave(3);
    at += put; size -= put;
  }
}
/* Not named memcpy: the object under test may bring its own. */
static void copy(void *to, const void *from, u64 size) {
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}
static void fill(void *to, int byte, u64 size) {
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(byte) : "memory");
}

/* --- values ------------------------------------------------------------------------------------------------------ */

static u64 mix(u64 a, u64 b) {
  u64 x = (a ^ (b * 0x9e3779b97f4a7c15ul)) + 0x632be59bd9b4e019ul;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ul;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebul;
  return x ^ (x >> 31);
}

/* The random number of a place: of the last layer that claims the place (1 in 8), else of the first. */
static u64 draw(u64 path, u64 offset) {
  u64 place = mix(path, offset);
  for (u32 i = S->layer_count; i-- > 1;) {
    u64 value = mix(S->layers[i], place);
    if ((value & 7) == 0) return mix(value, 1);
  }
  return mix(S->layers[0], place);
}

/* One of a few characters that an input uses everywhere, so that what is looked for is found now and then. */
static u8 common(u64 r) {
  u64 which = mix(S->layers[0], 0xa1fa + (r & 3)), constants = S->subject ? S->subject->constants : 0;
  if ((which & 3) == 0 && constants) {
    i64 value = S->constant[S->subject->constant + (which >> 8) % constants];
    if (value > 0 && value < 256) return (u8)value;
  }
  return (u8)("eatoinsrlhdcumfpgwybvkxjqz0123456789_-./:, =\"'\n\t%<>()[]{}AZ"[(which >> 8) % 61]);
}

static u64 integer(u64 r, u32 bits) {
  u64 mask = bits >= 64 ? ~0ul : (1ul << bits) - 1, value;
  u64 pick = r >> 56, more = mix(r, 7);
  if (bits == 1) return r & 1;
  if (bits == 8 && (more & 1)) return common(mix(r, 13));
  if (S->mode_tiny) return (pick < 128 ? more % 3 : pick < 224 ? more % 17 : ~0ul - more % 4) & mask;
  if (S->mode_wide && ((r >> 40) & 1)) return more & mask;
  u32 constants = S->subject ? S->subject->constants : 0;
  if (pick < 48) value = more % 9;
  else if (pick < 80) value = more % 65;
  else if (pick < 176 && constants) {
    value = S->constant[S->subject->constant + more % constants];
    u64 turn = (more >> 32) & 7;
    if (turn < 2) value += 1;
    else if (turn < 4) value -= 1;
  } else if (S->mode_int == 0 && pick < 236) value = more % 300;
  else if (pick < 184) value = ~0ul - more % 4;
  else if (pick < 192) value = 1ul << (more % bits);
  else if (pick < 200) value = (1ul << (bits - 1)) - (more & 1);
  else if (pick < 224) value = more & 0xffff;
  else value = more;
  if ((r >> 34 & 31) == 0 && bits > 8) value += 1ul << (8ul << (more >> 40) % 3); /* so that a cut to fewer bits shows */
  return value & mask;
}

static double real(u64 r) {
  u64 pick = r >> 56, more = mix(r, 9);
  double small = (double)(i64)(more % 201) - 100.0;
  if (pick < 24) return 0.0;
  if (pick < 48) return 1.0;
  if (pick < 110) return small;
  if (pick < 180) return small / 16.0;
  if (pick < 200) return (double)(i64)(more >> 11) / 9007199254740992.0;
  if (pick < 220) return small * 1e6;
  if (S->mode_int == 0) return small / 4.0;
  if (pick < 228) return -0.0;
  if (pick < 234) return __builtin_inf();
  if (pick < 237) return -__builtin_inf();
  if (pick < 246) return __builtin_nan("");
  if (pick < 250) return small * 1e-310;
  return small * 1e30;
}

static struct region *find(u64 base) {
  u32 at = mix(base, 3) % TABLE;
  while (S->table[at].base && S->table[at].base != base) at = (at + 1) % TABLE;
  return &S->table[at];
}

static void finish(u32 status, u64 where);
/* In hints.c. */
static void give(u64 start, u64 size, u64 path, int32_t layout);
static void see(u64 where, u64 path, u32 offset, u8 kind, u8 size, u64 value);
static void tell_loads(void);

/* The address of what the pointer at a place points to; its memory comes when touched. */
static u64 object_at(u64 path, int32_t layout) {
  u64 base = ARENA + (mix(path, 5) & 0xffffff) * REGION;
  if (base + REGION > ARENA_END) base = ARENA;
  struct region *region = find(base);
  if (region->base) {
    if (region->path != path) { /* two places met: nothing as long as nobody looks, but contents would depend on the order */
      for (u32 i = 0; i < S->pages; i++) if ((S->page[i] & ~(REGION - 1)) == base) finish(S_DISCARDED, 1);
      region->met = 1;
      if (path < region->path) region->path = path;
    }
    return base + ORIGIN;
  }
  if (S->regions >= TABLE / 2) finish(S_OUT_OF_MEMORY, 1);
  S->table_used[S->regions++] = (u32)(region - S->table);
  region->base = base; region->path = path; region->layout = layout; region->freed = region->met = 0;
  return base + ORIGIN;
}

static u64 pointer(u64 path, u64 offset, int32_t layout, int nonnull) {
  u64 r = draw(path, offset);
  if (!nonnull && (r & 63) < S->mode_null) return 0;
  if (layout >= 0 && S->layout[layout].thunk >= 0) {
    struct layout *code = &S->layout[layout];
    return S->thunk[code->thunk + (r >> 32) % code->thunks];
  }
  return object_at(mix(path, offset ^ 0x5000000000000000ul), layout);
}

static void scalar(u8 *to, u64 path, u64 offset, u32 kind, u32 size, u32 bits, int32_t target, int nonnull) {
  u64 r, value;
  switch (kind) {
  case K_POINTER: value = pointer(path, offset, target, nonnull); copy(to, &value, 8); return;
  case K_FLOAT: { float f = (float)real(draw(path, offset)); copy(to, &f, 4); return; }
  case K_DOUBLE: { double d = real(draw(path, offset)); copy(to, &d, 8); return; }
  case K_LONG_DOUBLE: { long double d = real(draw(path, offset)); fill(to, 0, size); copy(to, &d, 10); return; }
  case K_INT:
    r = draw(path, offset);
    value = integer(r, bits < 64 ? bits : 64);
    if (size <= 8) { copy(to, &value, size); return; }
    fill(to, 0, size);
    copy(to, &value, 8);
    if (bits > 64 && (r & 3) == 3) { u64 high = integer(mix(r, 11), bits - 64 < 64 ? bits - 64 : 64); copy(to + 8, &high, size - 8 < 8 ? size - 8 : 8); }
    return;
  default:
    for (u32 i = 0; i < size; i += 8) { value = draw(path, offset + i); copy(to + i, &value, size - i < 8 ? size - i : 8); }
  }
}

static u8 character(u64 path, u64 offset, u32 style) {
  u64 r = draw(path, offset), pick = (r >> 56), more = r & 0xffff;
  if (style == 3) return (u8)integer(r, 8);
  if (style == 4) { /* UTF-8 in groups of four bytes */
    static const char group[8][5] = {"text", "\xc3\xa9 z", "a\xe8\x80\x81", "\xf0\x9f\x98\x80", "\xef\xbb\xbf.", "7\xd0\x96\n",
                                     "\xe0\xa4\x85-", "\xff\xfe\0\0"};
    u64 which = draw(path, (offset >> 2) | 0x7100000000000000ul);
    return (u8)group[(which >> 8) & 7][offset & 3];
  }
  if (style == 5) { /* formats of printf */
    static const char group[16][5] = {"%d %", "%5s,", "%ld\n", "a%%b", "%-3x", "%.2f", "%*d:", "%c%u", "%hd;", "%p, ", "%lld", "%08X",
                                      "%i-%", "text", "%zu\0", "%s\0\0"};
    u64 which = draw(path, (offset >> 2) | 0x7100000000000000ul);
    return (u8)group[(which >> 8) & 15][offset & 3];
  }
  if (style == 6 && offset >= ORIGIN + LONG_TEXT + (draw(path, 0x7000000000000003ul) & 63)) return 0;
  if (pick < (style == 6 ? 0 : style == 1 ? 1 : 16)) return 0; /* long texts, too */
  if (style == 2) return common(r);
  if (pick < 40 && S->subject && S->subject->constants) {
    i64 value = S->constant[S->subject->constant + more % S->subject->constants];
    if (value > 0 && value < 256) return (u8)value;
  }
  if (pick < 60) return "0123456789"[more % 10];
  if (pick < 90) return " \t\n,.;:-+=/\\\"'%<>()[]{}#&*"[more % 27];
  if (pick < 120 && S->plan.string_bytes) { u8 c = S->strings[more % S->plan.string_bytes]; return c ? c : 'x'; }
  if (pick < 235) return (u8)(((more & 256) ? 'a' : 'A') + more % 26);
  return (u8)(pick < 245 ? 128 + more % 128 : more % 32);
}

static void generate(u8 *base, u64 from, u64 to, u64 path, int32_t index, u64 origin) {
  /* In some inputs all objects of a layout hold the same but for their pointers. */
  u64 values = S->mode_same && index >= 0 ? mix(0x5a5e, (u64)index) : path;
  u64 kind = index < 0 ? draw(values, 0x7000000000000002ul) & 7 : 0;
  if (index < 0 && kind < 2) { /* bytes of no known type: now and then a text, or ones and zeros */
    for (u64 at = from; at < to; at++)
      base[at] = kind ? "\0\377\0\376\377\1\200\0"[draw(values, at) & 7] : character(values, at, 1);
    return;
  }
  if (index < 0) {
    for (u64 at = from & ~7ul; at < to; at += 8) {
      u64 r = draw(values, at), value = (r >> 62) == 3 ? integer(r, 64) : integer(r, 8);
      for (u32 i = 0; i < 8; i++) if (at + i >= from && at + i < to) base[at + i] = (u8)(value >> (8 * i));
    }
    return;
  }
  struct layout *layout = &S->layout[index];
  if (layout->flags & 1) { /* text */
    u64 style = draw(values, 0x7000000000000000ul) % 45;
    style = style < 40 ? style / 8 : style == 44 && origin ? 6 : 5;
    u64 at = from;
    if (style == 0 && S->plan.string_bytes && from == origin) { /* a string of the module, first */
      u64 start = draw(values, 0x7000000000000001ul) % S->plan.string_bytes;
      while (start && S->strings[start - 1]) start--;
      while (at < to && start < S->plan.string_bytes && S->strings[start]) base[at++] = S->strings[start++];
      if (at < to) base[at++] = 0;
    }
    for (; at < to; at++) base[at] = character(values, at, (u32)style);
    return;
  }
  u64 size = layout->size, shift = (size - origin % size) % size;
  if (!layout->slots) return;
  for (u64 element = (from + shift) / size; element * size < to + shift; element++) {
    for (u32 i = 0; i < layout->slots; i++) {
      struct slot *slot = &S->slot[layout->slot + i];
      u64 at = element * size + slot->offset - shift, end = at + slot->size;
      u64 of = slot->kind == K_POINTER ? path : values;
      if ((i64)end <= (i64)from || (i64)at >= (i64)to) continue;
      if ((i64)at >= (i64)from && end <= to) scalar(base + at, of, at, slot->kind, slot->size, slot->bits, slot->target, 0);
      else {
        u8 value[32];
        scalar(value, of, at, slot->kind, slot->size, slot->bits, slot->target, 0);
        for (u64 b = at; b != end; b++) if ((i64)b >= (i64)from && (i64)b < (i64)to) base[b] = value[b - at];
      }
    }
    if (layout->slots >= MAX_SLOTS) { /* the rest of a large object */
      struct slot *last = &S->slot[layout->slot + layout->slots - 1];
      u64 at = element * size + ((last->offset + last->size + 3) & ~3ul) - shift, end = (element + 1) * size - shift;
      if ((i64)at < (i64)from) at += (from - at) & ~3ul;
      for (; (i64)at < (i64)end && (i64)at < (i64)to; at += 4) {
        u64 value = integer(draw(values, at), 32);
        for (u32 b = 0; b < 4; b++) if ((i64)(at + b) >= (i64)from && at + b < to && at + b < end) base[at + b] = (u8)(value >> (8 * b));
      }
    }
  }
}

/* Put patches into bytes [from, to) of what a path leads to. */
static void amend(u8 *base, u64 from, u64 to, u64 path) {
  for (u32 i = 0; i < S->patches; i++) {
    struct patch *patch = &S->patch[i];
    if (patch->path != path) continue;
    for (u32 k = 0; k < patch->size && k < 8; k++) {
      u64 at = (u64)patch->offset + k;
      if (at >= from && at < to) base[at] = (u8)(patch->value >> (8 * k));
    }
  }
}

/* Fill bytes [from, to) of an object whose elements begin at `origin`. */
static void contents(u8 *base, u64 from, u64 to, u64 path, int32_t index, u64 origin) {
  generate(base, from, to, path, index, origin);
  if (S->patches) amend(base, from, to, path);
}

/* --- what is seen from outside: addresses without their accidents ------------------------------------------------- */

static struct symbol *symbol_at(u64 value) {
  u32 low = 0, high = S->plan.symbols;
  while (low < high) {
    u32 middle = (low + high) / 2;
    if (S->symbol[middle].address <= value) low = middle + 1; else high = middle;
  }
  while (low-- > 0) {
    struct symbol *s = &S->symbol[low];
    if (value < s->address + (s->size ? s->size : 1) || value == s->address + s->size) return s;
    if (value - s->address > REGION) break;
  }
  return 0;
}

static struct block *block_at(u64 value) {
  u32 low = 0, high = S->blocks;
  while (low < high) {
    u32 middle = (low + high) / 2;
    if (S->block[middle].start <= value) low = middle + 1; else high = middle;
  }
  return low && value <= S->block[low - 1].start + S->block[low - 1].size ? &S->block[low - 1] : 0;
}

static int in_image(u64 value) {
  extern char __executable_start[], _end[];
  return value >= (u64)__executable_start && value < (u64)_end;
}

/* LLVM leaves the sign of a NaN open: a word with those of default NaNs, two floats or a double, made positive. */
static u64 unsigned_nans(u64 word) {
  if (word == 0xfff8000000000000ul) return word ^ 1ul << 63;
  if ((u32)word == 0xffc00000u) word ^= 1ul << 31;
  if (word >> 32 == 0xffc00000u) word ^= 1ul << 63;
  return word;
}

static int is_variable(u64 value) {
  for (u32 i = 0; i < S->plan.ranges; i++) if (value >= S->range[i].start && value < S->range[i].end) return 1;
  return 0;
}

static u64 canon(u64 value, int depth) {
  if (value >= ARENA && value < ARENA_END) {
    struct region *region = find(value & ~(REGION - 1));
    if (region->base) return mix(region->path, value & (REGION - 1));
    return value;
  }
  if (value >= HEAP && value < HEAP + HEAP_SIZE) {
    struct block *block = block_at(value);
    if (!block) return 0x4845415000000000ul;
    u64 hash = mix(0x48454150, mix(block->size, value - block->start));
    if (depth > 0) {
      u64 pattern = 0x0101010101010101ul * S->fill_byte, sum = 0;
      u64 words = block->size / 8 < 512 ? block->size / 8 : 512;
      u64 *at = (u64 *)block->start;
      for (u64 i = 0; i < words; i++) {
        u64 raw = unsigned_nans(at[i]), word = raw == pattern ? pattern : canon(raw, depth - 1);
        if (word != raw) sum += mix(i, word);
        else if (word != pattern) /* bytes that were never written hold what the run was given */
          for (u32 k = 0; k < 64; k += 8)
            if ((u8)(word >> k) != (u8)S->fill_byte) sum += mix(i * 64 + k, (u8)(word >> k));
      }
      for (u64 i = words * 8; i < block->size && i < words * 8 + 8; i++)
        if (((u8 *)at)[i] != (u8)S->fill_byte) sum += mix(i, ((u8 *)at)[i]);
      hash = mix(hash, sum);
    }
    return hash;
  }
  if (value >= STACK && value < STACK + STACK_SIZE) return 0x535441434b000000ul;
  if (in_image(value)) {
    struct symbol *symbol = symbol_at(value);
    if (symbol) return mix(symbol->name, value - symbol->address);
    u64 hash = 0x434f4e5354; /* a constant without a name: its first bytes */
    for (u32 i = 0; i < 24 && in_image(value + i); i++) { u8 c = ((u8 *)value)[i]; hash = mix(hash, c); if (!c) break; }
    return hash;
  }
  return value;
}

static void note(u32 type, u32 index, u64 place, u64 value) {
  if (!S->verbose || SH->record.events >= MAX_EVENTS) return;
  SH->event[SH->record.events++] = (struct event){type, index, place, value};
}

/* Bytes of an object of at most MAX_STACK_OBJECT, which may be padding or uninitialised. Of each word, as it is and with
 * pointers without their accidents: half of what looks like a pointer may be padding. */
static void soft_words(const u8 *from, u64 size) {
  for (u64 i = 0; i < size && S->soft_length + 16 <= MAX_SOFT; i += 8) {
    u64 word[2] = {0, 0}, left = size - i < 8 ? size - i : 8;
    copy(word, from + i, left);
    word[0] = unsigned_nans(word[0]);
    word[1] = left < 8 ? word[0] : canon(word[0], 2);
    copy(SH->soft + S->soft_length, word, 16);
    S->soft_length += 16;
  }
}

/* Words of memory that no longer hold what they held, summed so that the order of pages means nothing. */
static u64 changed(const u8 *now, const u8 *then, u64 size, u64 path, u64 offset, u32 type) {
  u64 sum = 0;
  for (u64 at = 0; at < size; at += 8) {
    u64 a = 0, b = 0, left = size - at < 8 ? size - at : 8;
    if (left == 8) { a = *(const u64 *)(now + at); b = *(const u64 *)(then + at); }
    else { copy(&a, now + at, left); copy(&b, then + at, left); }
    a = unsigned_nans(a);
    if (a != unsigned_nans(b)) {
      u64 word = canon(a, 4);
      sum += mix(mix(path, offset + at), word);
      note(type, (u32)(offset + at), path, word);
    }
  }
  return sum;
}

static u64 region_change(u64 base, u32 type) {
  u64 sum = 0;
  struct region *region = find(base);
  if (region->freed) return 0; /* what was stored there last means nothing */
  for (u32 i = 0; i < S->pages; i++)
    if ((S->page[i] & ~(REGION - 1)) == base)
      sum += changed((u8 *)S->page[i], (u8 *)(S->page[i] + SHADOW), PAGE, region->path, S->page[i] & (REGION - 1), type);
  return sum;
}

static u64 memory_change(void) {
  u64 sum = S->error != S->first_error ? mix(0xe44, (u32)S->error) : 0;
  for (u32 i = 0; i < S->regions; i++) sum += region_change(S->table[S->table_used[i]].base, E_MEMORY);
  for (u32 i = 0; i < S->plan.exports; i++) {
    struct fill *export = &S->export[i];
    u64 offset = 0;
    for (u32 k = 0; k < S->plan.ranges; k++) {
      if (export->address >= S->range[k].start && export->address < S->range[k].end)
        sum += changed((u8 *)export->address, (u8 *)IMAGE_COPY + offset + (export->address - S->range[k].start), export->size,
                       export->name, 0, E_GLOBAL);
      offset += S->range[k].end - S->range[k].start;
    }
  }
  for (u32 i = 0; i < S->plan.fills; i++) { /* variables of other modules: against what they held */
    struct fill *fill = &S->fill[i];
    u64 size = fill->size < SCRATCH_SIZE ? fill->size : SCRATCH_SIZE;
    contents((u8 *)SCRATCH, 0, size, mix(0x2000, fill->name), (int32_t)fill->layout, 0);
    sum += changed((u8 *)fill->address, (u8 *)SCRATCH, size, fill->name, 0, E_GLOBAL);
  }
  return sum;
}

/* --- volatile memory: its pages are closed, and every access is made as a single step ------------------------------ */

static int is_volatile(u64 base) {
  struct region *region = find(base & ~(REGION - 1));
  return region->base && region->layout >= 0 && (S->layout[region->layout].flags & 2);
}

static void set_volatile(int open) {
  long access = open ? 3 : 0;
  for (u32 i = 0; i < S->pages; i++)
    if (is_volatile(S->page[i])) sys(SYS_mprotect, S->page[i], PAGE, access, 0, 0, 0);
  for (u32 i = 0; i < S->plan.volatiles; i++) {
    u64 start = S->device[i].address & ~(PAGE - 1), end = (S->device[i].address + S->device[i].size + PAGE - 1) & ~(PAGE - 1);
    sys(SYS_mprotect, start, end - start, access, 0, 0, 0);
  }
  S->opened = 0;
}

static void tell_read(void) {
  if (S->read_place) S->trace = mix(S->trace, mix(S->read_place, 0x4ead));
  S->read_place = 0;
}

/* What is volatile at an address: a number for the place, 0 for none; the page may be closed for a neighbour's sake. */
static u64 device_at(u64 address) {
  if (address >= ARENA && address < ARENA_END) return mix(find(address & ~(REGION - 1))->path, address & (REGION - 1)) | 1;
  for (u32 i = 0; i < S->plan.volatiles; i++)
    if (address - S->device[i].address < S->device[i].size) return mix(S->device[i].name, address - S->device[i].address) | 1;
  return 0;
}

static int is_closed(u64 address) {
  if (address >= ARENA && address < ARENA_END) return is_volatile(address);
  for (u32 i = 0; i < S->plan.volatiles; i++)
    if ((address & ~(PAGE - 1)) + PAGE > S->device[i].address && (address & ~(PAGE - 1)) < S->device[i].address + S->device[i].size)
      return 1;
  return 0;
}

static void begin_step(u64 address, u64 *registers) {
  u64 page = address & ~(PAGE - 1), place = device_at(address);
  sys(SYS_mprotect, page, PAGE, 3, 0, 0, 0);
  if (S->in_runtime) { S->opened = 1; return; }
  int writes = registers[19] >> 1 & 1; /* the fault's error code */
  S->step_page = page; S->step_address = address;
  S->step_place = writes ? place : 0;
  if (place && !writes) { tell_read(); S->read_place = place; }
  registers[17] |= 0x100; /* trap after this instruction */
}

static void end_step(u64 *registers) {
  registers[17] &= ~0x100ul;
  if (S->step_place) { /* a read and a write of one place may be one instruction or two */
    if (S->read_place != S->step_place) tell_read();
    S->read_place = 0;
    S->trace = mix(S->trace, mix(S->step_place, canon(*(u64 *)(S->step_address & ~7ul), 0)));
  }
  sys(SYS_mprotect, S->step_page, PAGE, 0, 0, 0, 0);
  S->step_page = 0;
}

/* --- ends of a run ------------------------------------------------------------------------------------------------ */

__attribute__((noreturn)) static void finish_now(void) { __builtin_longjmp(S->jump, 1); }

static void finish(u32 status, u64 where) {
  if (!S->running) leave(4);
  SH->record.status = status;
  SH->record.where = where;
  finish_now();
}

struct action { void (*handler)(int, void *, void *); u64 flags; void (*restorer)(void); u64 mask; };

__attribute__((naked)) static void restore(void) { __asm__("movq $15, %rax\n syscall"); }

static void touch(u64 page) {
  struct region *region = find(page & ~(REGION - 1));
  if (region->met) finish(S_DISCARDED, 1);
  if (S->pages >= MAX_PAGES) finish(S_OUT_OF_MEMORY, page);
  map(page, PAGE, 0);
  map(page + SHADOW, PAGE, 0);
  S->page[S->pages++] = page;
  contents((u8 *)region->base, page - region->base, page - region->base + PAGE, region->path, region->layout, ORIGIN);
  copy((u8 *)(page + SHADOW), (u8 *)page, PAGE);
}

static void on_signal(int number, void *info, void *context) {
  u64 address = *(u64 *)((u8 *)info + 16);
  u64 *registers = (u64 *)((u8 *)context + 40);
  if (!S->running) leave(100 + number);
  if (number == 5 && S->step_page) { end_step(registers); return; }
  if (number == 26 || number == 27) finish(S_HUNG, 0); /* SIGVTALRM, SIGPROF */
  if (number == 11 && address >= ARENA && address < ARENA_END) {
    u64 page = address & ~(PAGE - 1);
    struct region *region = find(page & ~(REGION - 1));
    int known = 0;
    for (u32 i = 0; i < S->pages; i++) known |= S->page[i] == page;
    if (region->base && !known) {
      touch(page);
      if (is_volatile(page)) begin_step(address, registers);
      return;
    }
  }
  if (number == 11 && is_closed(address)) { begin_step(address, registers); return; }
  SH->record.signal = number;
  finish(S_CRASHED, address);
}

static void handle(int number) {
  /* SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTORER: a run may end in the handler */
  struct action action = {on_signal, 4 | 0x08000000 | 0x40000000 | 0x04000000, restore, 0};
  sys(SYS_rt_sigaction, number, (long)&action, 0, 8, 0, 0);
}

/* --- calls out of the code under test ----------------------------------------------------------------------------- */

static u64 argument_hash(struct param *param, u8 *at, u32 index, u64 given) {
  u64 value = 0; /* given: the integer argument that follows, which may be a size */
  if (param->flags & P_BYVAL) { /* a copy on the stack */
    u8 *data = *(u8 **)at;
    soft_words(data, param->by_value < 64 ? param->by_value : 64);
    return param->by_value;
  }
  switch (param->kind) {
  case K_FLOAT: { float f; copy(&f, at, 4); if (f != f) f = __builtin_nanf(""); copy(&value, &f, 4); break; }
  case K_DOUBLE: { double d; copy(&d, at, 8); if (d != d) d = __builtin_nan(""); copy(&value, &d, 8); break; }
  case K_LONG_DOUBLE: copy(&value, at, 8); break;
  case K_POINTER: {
    copy(&value, at, 8);
    u64 place = canon(value, 3);
    if (value >= ARENA && value < ARENA_END) {
      if (find(value & ~(REGION - 1))->base) place = mix(place, region_change(value & ~(REGION - 1), 0));
    } else if (value >= STACK && value < STACK + STACK_SIZE && !(param->flags & P_SRET)) {
      u64 size = param->stack_size ? param->stack_size : given <= 4096 ? given : 0;
      if (size > MAX_STACK_OBJECT) size = MAX_STACK_OBJECT;
      if (value + size > STACK + STACK_SIZE) size = 0;
      soft_words((u8 *)value, size);
    } else if (value && !(param->flags & P_SRET)) { /* the module's own variables */
      struct symbol *symbol = is_variable(value) ? symbol_at(value) : 0;
      u64 left = symbol && value < symbol->address + symbol->size ? symbol->address + symbol->size - value : 0;
      soft_words((u8 *)value, left < MAX_STACK_OBJECT ? left : MAX_STACK_OBJECT);
    }
    note(E_CALL_ARGUMENT, index, 0, place);
    return place;
  }
  case K_INT: {
    copy(&value, at, param->size < 8 ? param->size : 8);
    if (param->bits < 64) value &= (1ul << param->bits) - 1;
    else value = canon(value, 2);
    if (param->size > 8) { u64 high = 0; copy(&high, at + 8, param->size - 8 < 8 ? param->size - 8 : 8); value = mix(value, high); }
    break;
  }
  default:
    for (u32 i = 0; i < param->size; i += 8) { u64 w = 0; copy(&w, at + i, param->size - i < 8 ? param->size - i : 8); value = mix(value, canon(unsigned_nans(w), 2)); }
  }
  note(E_CALL_ARGUMENT, index, 0, value);
  return value;
}

static void scribble(u64 to, u64 limit, u64 path, int32_t layout) {
  /* What a callee writes through a pointer: all of it, or a few integers. */
  contents((u8 *)to, 0, limit, path, layout, 0);
  give(to, limit, path, layout);
}

/* A value that the code is handed: patches of it, and a note that it comes from the input. */
static void offer(u8 *at, struct param *param, u64 path) {
  u64 value = 0;
  amend(at, 0, param->size, path);
  if (param->kind == K_INT && param->bits < 64 && param->size <= 8) { /* a patch may be wider than the value */
    copy(&value, at, param->size);
    value &= (1ul << param->bits) - 1;
    copy(at, &value, param->size);
    value = 0;
  }
  if (!S->tracing || param->size > 8) return;
  copy(&value, at, param->size);
  see(path, path, 0, param->kind, (u8)param->size, value);
}

static void answer(struct stub *stub, u32 index, u8 *frame, u8 *result);

void llmc_stub(u32 index, u8 *frame, u8 *result) {
  struct stub *stub = &S->stub[index];
  if (!S->running) return;
  S->in_runtime = 1;
  answer(stub, index, frame, result);
  S->in_runtime = 0;
  if (S->opened) set_volatile(0);
  /* What earlier calls left below the stack pointer is uninitialised memory for the next ones. */
  u64 here = (u64)__builtin_frame_address(0) - 1024, low = STACK + STACK_SIZE - 256 - FILLED;
  if (here > low && here < STACK + STACK_SIZE) fill((void *)low, S->fill_byte, here - low);
}

static void answer(struct stub *stub, u32 index, u8 *frame, u8 *result) {
  u64 hash = stub->name;
  u32 count = stub->params;
  if (stub->named < count) { /* variable arguments: those of every call, and as many as a format wants */
    u32 wanted = stub->common;
    struct param *last = &S->param[stub->param + stub->named - 1];
    if (stub->named && last->kind == K_POINTER) {
      const u8 *format;
      u32 conversions = 0;
      copy(&format, frame + last->at, 8);
      if (in_image((u64)format))
        for (u32 i = 0; i < 512 && format[i]; i++)
          if (format[i] == '%') { if (format[i + 1] == '%') i++; else conversions++; }
      if (conversions > wanted) wanted = conversions;
    }
    if (stub->named + wanted < count) count = stub->named + wanted;
  }
  int pure = stub->flags & F_PURE;
  if (!pure) note(E_CALL, index, 0, 0);
  for (u32 i = 0; i < count; i++) {
    struct param *param = &S->param[stub->param + i];
    if (pure && param->kind == K_POINTER) { u64 v; copy(&v, frame + param->at, 8); hash = mix(hash, canon(v, 0)); continue; }
    u64 given = 0;
    if (i + 1 < count && param[1].kind == K_INT && param[1].size <= 8) copy(&given, frame + param[1].at, param[1].size);
    hash = mix(hash, argument_hash(param, frame + param->at, i, given));
  }
  u64 path;
  if (pure) path = mix(0x9000, hash);
  else {
    tell_read();
    S->trace = mix(S->trace, hash);
    SH->record.call_count++;
    if (++S->call_count > 20000) finish(S_HUNG, 1);
    path = mix(mix(0xa000, stub->name), index < 4096 ? S->calls_of[index]++ : S->call_count);
    if (stub->flags & F_NORETURN) finish(S_ENDED_BY_CALL, index);
    for (u32 i = 0; i < count; i++) {
      struct param *param = &S->param[stub->param + i];
      u64 to, place = mix(path, 0x100 + i);
      if (param->kind != K_POINTER || !(param->flags & P_WRITABLE) || (param->flags & P_BYVAL)) continue;
      copy(&to, frame + param->at, 8);
      if (to >= STACK && to < STACK + STACK_SIZE) {
        u64 size = (param->flags & P_SRET) ? param->by_value : param->stack_size;
        if (size && size < 65536 && ((param->flags & P_SRET) || (draw(place, 1) & 7) != 0)) scribble(to, size, place, param->layout);
      } else if (to >= ARENA && to < ARENA_END && find(to & ~(REGION - 1))->base) {
        /* An integer or two of what is behind: a load that was moved over the call gets another value. */
        struct layout *layout = param->layout < 0 ? 0 : &S->layout[param->layout];
        if (param->flags & P_SRET) scribble(to, param->by_value, place, param->layout);
        else if (layout && layout->slots && (draw(place, 1) & 3) == 0)
          for (u32 k = 0; k < 2; k++) {
            struct slot *slot = &S->slot[layout->slot + draw(place, 2 + k) % layout->slots];
            if (slot->kind == K_INT && slot->size <= 8 && (to & (REGION - 1)) + slot->offset + slot->size < REGION)
              scalar((u8 *)to + slot->offset, place, slot->offset, slot->kind, slot->size, slot->bits, -1, 0);
          }
      }
    }
  }
  if (stub->result >= 0) {
    struct param *param = &S->param[stub->result];
    for (u32 i = 0; i < stub->params; i++)
      if (S->param[stub->param + i].flags & P_RETURNED) { copy(result, frame + S->param[stub->param + i].at, param->size); return; }
    if (param->kind == K_INT && param->bits > 1 && param->size <= 8 && (draw(path, 0x55) & 15) < S->mode_stub) fill(result, 0, param->size);
    else scalar(result, path, 0x56, param->kind, param->size, param->bits, param->layout, param->flags & P_NONNULL);
    offer(result, param, path);
  }
  /* Code outside may leave an error number. */
  if (!(stub->flags & (F_PURE | F_KEEPS_ERRNO)) && (draw(path, 0x57) & 7) == 0) S->error = (int)integer(draw(path, 0x58), 32);
}

/* Functions whose meaning optimisers know are the real ones; those that write text or allocate are here. */
#define WEAK __attribute__((weak))

static void output(u64 stream, const u8 *text, u64 size) {
  if (!S->running) return;
  for (u64 i = 0; i < size; i++) S->trace = mix(S->trace, mix(stream, text[i]));
  for (u64 i = 0; i < size && i < 32; i++) note(E_OUTPUT, 0, 0, text[i]);
}
static u64 length(const u8 *text) { u64 n = 0; while (text[n]) n++; return n; }

int vsnprintf(char *, size_t, const char *, va_list);
static int formatted(u64 stream, const char *format, va_list list) {
  char text[2048];
  int size = vsnprintf(text, sizeof text, format, list);
  output(stream, (u8 *)text, size < 0 ? 0 : size < 2047 ? (u64)size : 2047);
  return size;
}
WEAK int *__errno_location(void) { return &S->error; }
#define STREAM(f) canon((u64)(f), 0)
WEAK int vprintf(const char *format, va_list list) { return formatted(1, format, list); }
WEAK int vfprintf(void *f, const char *format, va_list list) { return formatted(STREAM(f), format, list); }
WEAK int printf(const char *format, ...) { va_list l; va_start(l, format); int n = formatted(1, format, l); va_end(l); return n; }
WEAK int fprintf(void *f, const char *format, ...) { va_list l; va_start(l, format); int n = formatted(STREAM(f), format, l); va_end(l); return n; }
WEAK int __printf_chk(int flag, const char *format, ...) { (void)flag; va_list l; va_start(l, format); int n = formatted(1, format, l); va_end(l); return n; }
WEAK int __fprintf_chk(void *f, int flag, const char *format, ...) { (void)flag; va_list l; va_start(l, format); int n = formatted(STREAM(f), format, l); va_end(l); return n; }
WEAK int puts(const char *text) { output(1, (u8 *)text, length((u8 *)text)); output(1, (u8 *)"\n", 1); return 1; }
WEAK int putchar(int c) { u8 b = (u8)c; output(1, &b, 1); return b; }
WEAK int fputc(int c, void *f) { u8 b = (u8)c; output(STREAM(f), &b, 1); return b; }
WEAK int putc(int c, void *f) { u8 b = (u8)c; output(STREAM(f), &b, 1); return b; }
WEAK int fputs(const char *text, void *f) { output(STREAM(f), (u8 *)text, length((u8 *)text)); return 1; }
WEAK size_t fwrite(const void *data, size_t size, size_t count, void *f) {
  if (size && count > (1ul << 20) / size) finish(S_CRASHED, 2);
  output(STREAM(f), data, size * count);
  return count;
}

static void *allocate(u64 size, u64 alignment) {
  if (!S->running) { /* a constructor of a library: no memory of ours before the first run */ return 0; }
  u64 start = (S->heap_next + alignment - 1) & ~(alignment - 1);
  if (size > (8ul << 20) || S->blocks >= MAX_BLOCKS || start + size + 16 > HEAP + HEAP_SIZE) finish(S_OUT_OF_MEMORY, 2);
  S->heap_next = (start + size + 31) & ~15ul;
  if (S->heap_next > S->heap_touched) S->heap_touched = S->heap_next;
  S->block[S->blocks++] = (struct block){start, size, 0};
  fill((void *)start, S->fill_byte, size);
  return (void *)start;
}
WEAK void *malloc(size_t size) { return allocate(size, 16); }
WEAK void *calloc(size_t count, size_t size) {
  u64 bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) return 0;
  void *at = allocate(bytes, 16);
  if (at) fill(at, 0, bytes);
  return at;
}
/* Calls may be dropped together with the allocation, or moved; but an object of the caller's is freed once. */
static void release(void *at) {
  if (!S->running) return;
  if ((u64)at >= ARENA && (u64)at < ARENA_END) {
    S->freed += mix(canon((u64)at, 0), 0xf4ee);
    find((u64)at & ~(REGION - 1))->freed = 1;
  }
  struct block *block = (u64)at >= HEAP && (u64)at < HEAP + HEAP_SIZE ? block_at((u64)at) : 0;
  if (block) block->freed = 1;
}
WEAK void free(void *at) { release(at); }
WEAK void *realloc(void *old, size_t size) {
  if (!old) return allocate(size, 16);
  struct block *block = (u64)old >= HEAP && (u64)old < HEAP + HEAP_SIZE ? block_at((u64)old) : 0;
  u64 keep = block ? block->size : 4096; /* memory of the arena: as much as its first page */
  void *at = allocate(size, 16);
  copy(at, old, keep < size ? keep : size);
  if (block) block_at((u64)old)->freed = 1;
  return at;
}
WEAK void *aligned_alloc(size_t alignment, size_t size) { return allocate(size, alignment < 16 ? 16 : alignment); }
WEAK char *strdup(const char *text) { u64 n = length((u8 *)text) + 1; char *at = allocate(n, 16); copy(at, text, n); return at; }
WEAK char *strndup(const char *text, size_t limit) {
  u64 n = 0;
  while (n < limit && text[n]) n++;
  char *at = allocate(n + 1, 16);
  copy(at, text, n); at[n] = 0;
  return at;
}
WEAK void *_Znwm(size_t size) { return allocate(size, 16); }
WEAK void *_Znam(size_t size) { return allocate(size, 16); }
WEAK void *_ZnwmRKSt9nothrow_t(size_t size, void *tag) { (void)tag; return allocate(size, 16); }
WEAK void *_ZnamRKSt9nothrow_t(size_t size, void *tag) { (void)tag; return allocate(size, 16); }
WEAK void *_ZnwmSt11align_val_t(size_t size, size_t alignment) { return allocate(size, alignment < 16 ? 16 : alignment); }
WEAK void _ZdlPv(void *at) { release(at); }
WEAK void _ZdaPv(void *at) { release(at); }
WEAK void _ZdlPvm(void *at, size_t size) { release(at); (void)size; }
WEAK void _ZdaPvm(void *at, size_t size) { release(at); (void)size; }
WEAK void _ZdlPvSt11align_val_t(void *at, size_t alignment) { release(at); (void)alignment; }

static void ended(u64 name, u64 value) { S->trace = mix(S->trace, mix(name, value)); SH->record.call_count++; finish(S_ENDED_BY_CALL, ~0ul); }
WEAK void abort(void) { ended(1, 0); }
WEAK void exit(int code) { ended(2, (u32)code); }
WEAK void _exit(int code) { ended(3, (u32)code); }
WEAK void __assert_fail(const char *text, const char *file, unsigned line, const char *function) {
  (void)function; ended(4, mix(line, mix(canon((u64)text, 0), canon((u64)file, 0))));
}
WEAK void __stack_chk_fail(void) { ended(5, 0); }
/* LLVM's poison-checking pass calls it where undefined behaviour follows from a poisoned value; one bit is passed. */
void __poison_checker_assert(u32 sound) { if (!(sound & 1)) finish(S_UNDEFINED, 0); }
WEAK int atexit(void (*f)(void)) { (void)f; return 0; }
WEAK int __cxa_atexit(void (*f)(void *), void *a, void *d) { (void)f; (void)a; (void)d; return 0; }
WEAK void *__cxa_allocate_exception(size_t size) { return allocate(size, 16); }
WEAK void __cxa_free_exception(void *at) { (void)at; }
WEAK void __cxa_throw(void *at, void *type, void *destroy) { (void)at; (void)destroy; ended(6, canon((u64)type, 0)); }
WEAK void __cxa_rethrow(void) { ended(7, 0); }
WEAK void *__cxa_begin_catch(void *at) { return at; }
WEAK void __cxa_end_catch(void) {}
WEAK void __cxa_pure_virtual(void) { ended(8, 0); }
WEAK int __cxa_guard_acquire(u8 *guard) { return !*guard; }
WEAK void __cxa_guard_release(u8 *guard) { *guard = 1; }
WEAK void __cxa_guard_abort(u8 *guard) { (void)guard; }
WEAK void _ZSt9terminatev(void) { ended(9, 0); }
WEAK void __clang_call_terminate(void *at) { (void)at; ended(9, 0); }
WEAK void _Unwind_Resume(void *at) { (void)at; ended(10, 0); }
WEAK int __gxx_personality_v0(void) { return 0; }
WEAK int __gcc_personality_v0(void) { return 0; }
WEAK void *__dso_handle = 0;

/* --- coverage (clang's -fsanitize-coverage=inline-8bit-counters,pc-table) ----------------------------------------- */

void __sanitizer_cov_8bit_counters_init(u8 *start, u8 *end) { (void)start; (void)end; }
void __sanitizer_cov_pcs_init(u64 *start, u64 *end) { (void)start; (void)end; }
extern u8 __start___sancov_cntrs[] WEAK, __stop___sancov_cntrs[] WEAK;
extern u64 __start___sancov_pcs[] WEAK, __stop___sancov_pcs[] WEAK;

/* --- runs --------------------------------------------------------------------------------------------------------- */

static void swap_image(int save) {
  u64 offset = 0;
  for (u32 i = 0; i < S->plan.ranges; i++) {
    u64 size = S->range[i].end - S->range[i].start;
    if (save) copy((u8 *)IMAGE_COPY + offset, (u8 *)S->range[i].start, size);
    else copy((u8 *)S->range[i].start, (u8 *)IMAGE_COPY + offset, size);
    offset += size;
  }
}

static void clean(void) {
  for (u32 i = 0; i < S->pages; i++) {
    sys(SYS_munmap, S->page[i], PAGE, 0, 0, 0, 0);
    sys(SYS_munmap, S->page[i] + SHADOW, PAGE, 0, 0, 0, 0);
  }
  for (u32 i = 0; i < S->regions; i++) S->table[S->table_used[i]].base = 0;
  S->pages = S->regions = S->blocks = S->call_count = 0;
  S->heap_next = HEAP;
  S->trace = S->soft_length = S->freed = S->step_page = S->read_place = 0;
  S->in_runtime = S->opened = 0;
  S->error = S->first_error = 0;
  S->kins = S->seens = S->seen_next = S->clock = S->groups = S->givens = 0;
  fill(S->calls_of, 0, sizeof S->calls_of);
}

static void call_on_stack(u64 driver, u64 function, void *args, void *ret) {
  u64 top = STACK + STACK_SIZE - 256;
  u32 mxcsr = 0x1f80;
  fill((void *)(top - FILLED), S->fill_byte, FILLED);
  __asm__ volatile("fninit\n\tcld\n\tldmxcsr %[mxcsr]\n\t"
                   "movq %%rsp, %%rbx\n\tmovq %[top], %%rsp\n\tcall *%[driver]\n\tmovq %%rbx, %%rsp"
                   : "+D"(function), "+S"(args), "+d"(ret)
                   : [top] "r"(top), [driver] "r"(driver), [mxcsr] "m"(mxcsr)
                   : "rbx", "rax", "rcx", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
                     "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

static void timer(u64 microseconds) {
  u64 value[4] = {0, 0, microseconds / 1000000, microseconds % 1000000}, all = 4 * microseconds;
  sys(SYS_setitimer, 1, (long)value, 0, 0, 0, 0); /* ITIMER_VIRTUAL */
  value[2] = all / 1000000; value[3] = all % 1000000;
  sys(SYS_setitimer, 2, (long)value, 0, 0, 0, 0); /* ITIMER_PROF: steps through volatile memory are the kernel's time */
}

/* Later calls are handed objects that earlier ones got or gave. */
static void add_kin(u64 value, int32_t layout) {
  if (layout >= 0 && S->kins < 16) { S->kin[S->kins].value = value; S->kin[S->kins++].layout = layout; }
}
static void take_kin(u8 *at, struct param *param, u64 path) {
  if (!S->earlier || (draw(path, 0x68) & 7) == 0) return;
  for (u32 i = S->earlier; i-- > 0;)
    if (S->kin[i].layout == param->layout) { copy(at, &S->kin[i].value, 8); return; }
}

static void prepare_arguments(struct entry *entry, u64 path) {
  for (u32 i = 0; i < entry->params; i++) {
    struct param *param = &S->param[entry->param + i];
    u8 *at = S->args + param->at;
    u64 here = mix(path, i);
    if (param->flags & (P_BYVAL | P_SRET)) {
      u64 where = object_at(mix(here, 77), param->layout);
      copy(at, &where, 8);
      continue;
    }
    u8 kind = param->kind;
    if (param->flags & P_VARIABLE && (draw(here, 0x69) & 7) >= S->mode_variable) kind = K_INT;
    scalar(at, here, 0, kind, param->size, kind == param->kind ? param->bits : 64, param->layout, param->flags & P_NONNULL);
    if (kind == K_POINTER && S->mode_alias && !(param->flags & P_NOALIAS))
      for (u32 k = 0; k < i; k++) {
        struct param *other = &S->param[entry->param + k];
        if (other->kind == K_POINTER && other->layout == param->layout && !(other->flags & (P_NOALIAS | P_BYVAL | P_SRET)) &&
            param->layout >= 0 && (draw(here, 0x66) & 1)) {
          u64 to, step = draw(here, 0x67) % 48; /* the same place, or one further on, as an end would be */
          copy(&to, S->args + other->at, 8);
          if (to && (step & 1)) to += step * S->layout[param->layout].size;
          copy(at, &to, 8);
          break;
        }
      }
    if (kind == K_POINTER) take_kin(at, param, here);
    offer(at, param, here);
    u64 value = 0;
    copy(&value, at, param->size < 8 ? param->size : 8);
    note(E_ARGUMENT, i, value, canon(value, 0));
    if (kind == K_POINTER && value) add_kin(value, param->layout);
  }
}

/* volatile: __builtin_longjmp restores no registers but the stack's. */
static void take_result(struct entry *entry) {
  struct param *param = &S->param[entry->result];
  if (param->kind == K_BYTES || param->size > 16) {
    soft_words(S->ret, param->size < 64 ? param->size : 64);
    return;
  }
  u32 saved = S->verbose;
  S->verbose = 0;
  u64 value = argument_hash(param, S->ret, 0, 0);
  S->verbose = saved;
  SH->record.result = SH->record.result ? mix(SH->record.result, value) : value;
  note(E_RESULT, 0, 0, value);
}

/* Goes on to S->target with what nobody put into a register there: a push of it makes room for a local variable. */
__attribute__((naked)) static void enter(void) {
  __asm__("movabsq $0x300000000000, %r11\n\tmovq 8(%r11), %rax\n\tjmpq *(%r11)"); /* STATE_AT */
}

static void call(struct entry *entry, u64 path) {
  S->now = entry;
  S->earlier = S->kins;
  prepare_arguments(entry, path);
  fill(S->ret, 0, sizeof S->ret);
  S->target = entry->function;
  S->garbage = 0x0101010101010101ul * S->fill_byte;
  call_on_stack(entry->driver, (u64)enter, S->args, S->ret);
}

/* What was freed may be gone when the next call comes. */
static void scrub(void) {
  for (u32 i = 0; i < S->blocks; i++)
    if (S->block[i].freed) fill((void *)S->block[i].start, S->fill_byte, S->block[i].size);
  for (u32 i = 0; i < S->pages; i++)
    if (find(S->page[i] & ~(REGION - 1))->freed) fill((void *)S->page[i], S->fill_byte, PAGE);
}

/* A call with others after it: what it left in the module's variables, or in objects, shows in those. */
static void call_first(u32 index, u64 path) {
  call(&S->entry[index], path);
  S->in_runtime = 1;
  if (S->now->result >= 0) {
    struct param *param = &S->param[S->now->result];
    u64 value;
    copy(&value, S->ret, 8);
    if (param->kind == K_POINTER && value) add_kin(value, param->layout);
    take_result(S->now);
  }
  scrub();
  S->in_runtime = 0;
  if (S->opened) set_volatile(0);
}

/* Variables that other modules may write hold something else than at the start, now and then. */
static void vary_exports(void) {
  for (u32 i = 0; i < S->plan.exports; i++) {
    struct fill *export = &S->export[i];
    struct layout *layout = export->layout < 0 ? 0 : &S->layout[export->layout];
    u64 path = mix(0x2100, export->name);
    if (!layout || !layout->size || export->size > PAGE) continue;
    for (u64 at = 0; S->mode_export && at + layout->size <= export->size; at += layout->size)
      for (u32 k = 0; k < layout->slots; k++) {
        struct slot *slot = &S->slot[layout->slot + k];
        u64 offset = at + slot->offset;
        if (slot->kind <= K_DOUBLE && (S->mode_export == 1 || (draw(path, offset) & 3) == 0))
          scalar((u8 *)export->address + offset, path, offset, slot->kind, slot->size, slot->bits, -1, 0);
      }
    if (S->patches) amend((u8 *)export->address, 0, export->size, path);
    give(export->address, export->size, path, (int32_t)export->layout);
  }
}

static void run(struct input *input, u32 index, u64 limit) {
  struct record *record = &SH->record;
  fill(record, 0, sizeof *record);
  S->layer_count = input->layers < MAX_LAYERS ? input->layers : MAX_LAYERS;
  copy(S->layers, input->layer, S->layer_count * 8);
  S->patches = input->patches < MAX_PATCHES ? input->patches : MAX_PATCHES;
  copy(S->patch, input->patch, S->patches * sizeof *S->patch);
  S->now = S->subject = &S->entry[index];
  u64 mode = mix(S->layers[0], 0xd0de);
  S->mode_null = "\0\0\2\14"[mode & 3];
  S->mode_int = (mode >> 2) & 1;
  S->mode_stub = "\4\14\14\17"[(mode >> 3) & 3];
  S->mode_alias = ((mode >> 5) & 7) == 0;
  S->mode_wide = ((mode >> 8) & 3) == 0;
  S->mode_tiny = ((mode >> 19) & 3) == 0; /* sums of products that do not overflow */
  S->mode_same = ((mode >> 10) & 15) == 0;
  S->mode_variable = "\0\4\7\10"[(mode >> 17) & 3];
  S->mode_export = "\0\0\1\2"[(mode >> 14) & 3];
  if ((mode >> 16) & 1) S->error = S->first_error = (int)integer(mix(mode, 0xe44), 32);
  if (__start___sancov_cntrs) {
    fill(__start___sancov_cntrs, 0, (u64)(__stop___sancov_cntrs - __start___sancov_cntrs));
    fill(S->feature, 0, sizeof S->feature);
  }
  timer(limit);
  if (__builtin_setjmp(S->jump) == 0) {
    S->running = 1;
    for (u32 i = 0; i < S->plan.fills; i++) {
      struct fill *fill = &S->fill[i];
      contents((u8 *)fill->address, 0, fill->size, mix(0x2000, fill->name), (int32_t)fill->layout, 0);
      give(fill->address, fill->size, mix(0x2000, fill->name), (int32_t)fill->layout);
    }
    if (S->mode_export || S->patches || S->tracing) vary_exports();
    if (S->plan.volatiles) set_volatile(0);
    for (volatile u32 i = 0; i < input->befores && i < MAX_BEFORE; i++) call_first(input->before[i], 0x5000 + 0x1000 * i);
    if (input->after) {
      call_first(index, 0x1000);
      call(&S->entry[input->after - 1], 0x3000);
    } else call(&S->entry[index], 0x1000);
    SH->record.status = S_RETURNED;
  }
  /* Only memory from here on: registers may be of the run that ended. */
  set_volatile(1);
  tell_read();
  struct entry *entry = S->now;
  record = &SH->record;
  if (__builtin_setjmp(S->jump) == 0) {
    if (record->status == S_RETURNED && entry->result >= 0) take_result(entry);
    if (record->status <= S_ENDED_BY_CALL) {
      record->memory = memory_change();
      for (u32 i = 0; i < S->blocks; i++) /* what is left over: an allocation may vanish together with its release */
        if (!S->block[i].freed) S->freed += mix(0xa110c, S->block[i].size);
      record->calls = mix(S->trace, S->freed);
    }
  } else record->status = S_DISCARDED;
  if (S->tracing) tell_loads();
  S->running = 0;
  timer(0);
  record->soft = (u32)S->soft_length;
  record->pages = S->pages;
  if (__start___sancov_cntrs) copy(SH->counters, __start___sancov_cntrs, (u64)(__stop___sancov_cntrs - __start___sancov_cntrs));
}

struct request { u32 entry, inputs, fill_byte, verbose, limit, tracing; };
#define MAX_INPUTS 256

static int construct(void) {
  /* The image's constructors, with the first input. */
  static const u64 zero = 0;
  S->layers[0] = zero; S->layer_count = 1; S->patches = 0;
  S->now = S->subject = 0; S->fill_byte = 0x9b; S->verbose = 0;
  fill(&SH->record, 0, sizeof SH->record);
  timer(500000);
  if (__builtin_setjmp(S->jump) == 0) {
    S->running = 1;
    for (u32 i = 0; i < S->plan.ctors; i++) call_on_stack(S->ctor[i], 0, 0, 0);
    SH->record.status = S_RETURNED;
  }
  S->running = 0;
  timer(0);
  return SH->record.status == S_RETURNED;
}

static void serve(struct input *inputs, u64 *seen, u64 *seen_features) {
  struct request request;
  for (;;) {
    read_all(&request, sizeof request);
    read_all(inputs, request.inputs * sizeof *inputs);
    u32 next = 0;
    while (next < request.inputs) {
      SH->done = next;
      long child = sys(SYS_clone, 17, 0, 0, 0, 0, 0);
      if (child == 0) {
        /* A child runs inputs one after another and puts the image's data back between them. */
        if (S->plan.ctors && !construct()) leave(5);
        clean();
        swap_image(1);
        for (u32 i = next; i < request.inputs; i++) {
          SH->done = i;
          S->fill_byte = request.fill_byte; S->verbose = request.verbose; S->tracing = request.tracing;
          run(&inputs[i], request.entry, request.limit);
          SH->record.fresh = 0;
          u64 counters = __start___sancov_cntrs ? (u64)(__stop___sancov_cntrs - __start___sancov_cntrs) : 0;
          u32 fresh[MAX_FRESH];
          if (SH->record.status <= S_ENDED_BY_CALL)
            for (u64 k = 0; k < counters; k++)
              if (SH->counters[k] && !(seen[k / 64] >> (k % 64) & 1) && SH->record.fresh < MAX_FRESH) {
                seen[k / 64] |= 1ul << (k % 64);
                fresh[SH->record.fresh++] = (u32)k;
              }
          if (counters && SH->record.status <= S_ENDED_BY_CALL)
            for (u32 k = 0; k < FEATURES / 64; k++) {
              u64 news = S->feature[k] & ~seen_features[k];
              if (news) { SH->record.features += (u32)__builtin_popcountl(news); seen_features[k] |= news; }
            }
          write_all(&SH->record, sizeof SH->record);
          write_all(SH->soft, SH->record.soft);
          write_all(fresh, SH->record.fresh * sizeof *fresh);
          write_all(SH->event, SH->record.events * sizeof *SH->event);
          write_all(SH->hint, SH->record.hints * sizeof *SH->hint);
          clean();
          swap_image(0);
        }
        SH->done = request.inputs;
        leave(0);
      }
      int status = 0;
      while (sys(SYS_wait4, child, (long)&status, 0, 0, 0, 0) == -4) {}
      next = SH->done;
      if (next < request.inputs) { /* it died on this one: say so and go on after it */
        struct record record;
        fill(&record, 0, sizeof record);
        record.status = (status & 0x7f) == 0 && (status >> 8 & 0xff) == 5 ? S_DISCARDED : S_CRASHED;
        record.signal = status & 0x7f;
        write_all(&record, sizeof record);
        next++;
      }
    }
  }
}

void llmc_main(void) {
  u64 size;
  map(STATE_AT, sizeof(struct state) + PAGE, 0);
  map(SHARED_AT, sizeof(struct shared) + PAGE, 1);
  map(HEAP, HEAP_SIZE, 0);
  map(STACK, STACK_SIZE, 0);
  map(SCRATCH, SCRATCH_SIZE, 0);
  read_all(&size, 8);
  map(PLAN_AT, size + PAGE, 0);
  u8 *at = (u8 *)PLAN_AT;
  read_all(at, size);
  copy(&S->plan, at, sizeof S->plan);
  at += sizeof S->plan;
#define TAKE(field, count) S->field = (void *)at; at += (u64)(count) * sizeof *S->field; at += -(u64)at & 7
  TAKE(layout, S->plan.layouts); TAKE(slot, S->plan.slots); TAKE(param, S->plan.params); TAKE(stub, S->plan.stubs);
  TAKE(entry, S->plan.entries); TAKE(constant, S->plan.constants); TAKE(strings, S->plan.string_bytes);
  TAKE(symbol, S->plan.symbols); TAKE(fill, S->plan.fills); TAKE(export, S->plan.exports); TAKE(thunk, S->plan.thunks);
  TAKE(ctor, S->plan.ctors); TAKE(range, S->plan.ranges); TAKE(device, S->plan.volatiles);
  u64 image = 0;
  for (u32 i = 0; i < S->plan.ranges; i++) image += S->range[i].end - S->range[i].start;
  map(IMAGE_COPY, image + PAGE, 0);
  u64 counters = __start___sancov_cntrs ? (u64)(__stop___sancov_cntrs - __start___sancov_cntrs) : 0;
  u64 seen_at = STATE_AT + 0x800000000ul, inputs_at = STATE_AT + 0x900000000ul;
  u64 features_at = STATE_AT + 0xb00000000ul;
  map(seen_at, counters / 8 + PAGE, 1);
  map(features_at, FEATURES / 8, 1);
  map(inputs_at, MAX_INPUTS * sizeof(struct input) + PAGE, 0);
  u64 alternate[3] = {STATE_AT + 0xa00000000ul, 0, 1 << 16};
  map(alternate[0], 1 << 16, 0);
  sys(SYS_sigaltstack, (long)alternate, 0, 0, 0, 0, 0);
  int numbers[] = {4, 5, 7, 8, 11, 26, 27, 31};
  for (u32 i = 0; i < sizeof numbers / sizeof *numbers; i++) handle(numbers[i]);
  /* Which block belongs to which function: pairs of program counter and whether it is an entry. */
  write_all(&counters, 8);
  if (counters) write_all(__start___sancov_pcs, counters * 16);
  serve((struct input *)inputs_at, (u64 *)seen_at, (u64 *)features_at);
}

__attribute__((naked)) void llmc_start(void) { __asm__("xorl %ebp, %ebp\n\tandq $-16, %rsp\n\tcall llmc_main\n\thlt"); }
