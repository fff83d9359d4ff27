/* benchmark.c with other names, another layout, functions and independent loops in another order. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
typedef struct Leaf_ Leaf;
struct Leaf_ { unsigned addr; unsigned net; int pos; int uses; Leaf *zero, *one; };
typedef struct { int last; int row; long power; } Voice;
static unsigned long seed = 12345;
static const int Delta[8] = { -1, -1, -1, 0, 1, 2, 3, 5 };
static const int Quant[16] = { 7, 9, 11, 14, 18, 24, 31, 40, 52, 68, 88, 115, 150, 195, 253, 330 };

static int bounded(int v, int lo, int hi) { if (v < lo) return lo; if (v > hi) return hi; return v; }

int route_weight(const Leaf *p, int level) {
  int acc = 0;
  while (p) {
    acc += p->uses * (level + 1); acc ^= (int)(p->addr & 255);
    if (p->zero && p->one) acc += route_weight(p->one, level + 1);
    p = p->zero ? p->zero : p->one; level++;
  }
  return acc;
}

Leaf *route_add(Leaf *top, unsigned addr, unsigned net) {
  Leaf *p = top; Leaf **slot = &top; int pos = 31;
  while (p && p->pos <= pos && (p->addr & p->net) == (addr & p->net)) {
    if (p->addr == addr && p->net == net) { p->uses++; return top; }
    pos = p->pos - 1; slot = (addr >> p->pos) & 1 ? &p->one : &p->zero; p = *slot;
  }
  Leaf *q = malloc(sizeof *q); if (!q) exit(1);
  memset(q, 0, sizeof *q);
  q->addr = addr; q->net = net; q->pos = pos < 0 ? 0 : pos; q->uses = 1;
  if (p) { if ((p->addr >> q->pos) & 1) q->one = p; else q->zero = p; }
  *slot = q; return top;
}

void voice_unpack(const unsigned char *in, short *pcm, int n, Voice *v) {
  int row = v->row; int last = v->last;
  for (int k = 0; k < n; k++) {
    int nib = k & 1 ? in[k / 2] >> 4 : in[k / 2] & 15; int q = Quant[row]; int d = q >> 3;
    if (nib & 4) d += q; if (nib & 2) d += q >> 1; if (nib & 1) d += q >> 2;
    last += nib & 8 ? -d : d; last = bounded(last, -32768, 32767);
    row = bounded(row + Delta[nib & 7], 0, 15); pcm[k] = (short)last;
  }
  v->row = row; v->last = last;
}

void voice_pack(const short *pcm, unsigned char *out, int n, Voice *v) {
  int last = v->last; int row = v->row; int odd = 0; int keep = 0;
  for (int k = 0; k < n; k++) v->power += (long)pcm[k] * pcm[k];
  for (int k = 0; k < n; k++) {
    int q = Quant[row]; int gap = pcm[k] - last; int neg = gap < 0 ? 8 : 0; if (neg) gap = -gap;
    int nib = 0; int d = q >> 3;
    if (gap >= q) { nib |= 4; gap -= q; d += q; } q >>= 1;
    if (gap >= q) { nib |= 2; gap -= q; d += q; } q >>= 1;
    if (gap >= q) { nib |= 1; d += q; }
    last += neg ? -d : d; last = bounded(last, -32768, 32767); row = bounded(row + Delta[nib], 0, 15);
    if (odd) { *out++ = (unsigned char)(keep | ((nib | neg) << 4)); } else { keep = nib | neg; }
    odd = !odd;
  }
  if (odd) *out = (unsigned char)keep;
  v->last = last; v->row = row;
}

static int noise(void) {
  seed = seed * 1103515245UL + 12345UL; int a = (int)((seed >> 16) & 1023) - 512;
  int b = (int)((seed >> 8) & 255); if (b > 128) b = 256 - b; return a * 8 + b * 16;
}

int run_codec(int argc, char **argv) {
  Voice enc = {0, 0, 0}, dec = {0, 0, 0}; Leaf *top = NULL; short a[256], b[256]; unsigned char packed[128];
  long diff = 0; int times = argc > 1 ? atoi(argv[1]) : 100;
  for (int t = 0; t < times; t++) {
    for (int k = 0; k < 256; k++) a[k] = (short)noise();
    voice_pack(a, packed, 256, &enc); voice_unpack(packed, b, 256, &dec);
    top = route_add(top, (unsigned)seed, 0xffffff00u >> (t & 7));
    for (int k = 0; k < 256; k++) diff += abs(a[k] - b[k]);
  }
  printf("%ld %ld %d\n", diff, enc.power, route_weight(top, 0)); return 0;
}
