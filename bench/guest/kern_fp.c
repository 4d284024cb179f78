/* kern_fp.c - scalar and packed floating point, packed integers, x87. */
#include "kern.h"

u64 k_sse_d(u32 n)
{
    static double px[5], py[5], pz[5], vx[5], vy[5], vz[5], m[5];
    u64 h = 7;
    for (int i = 0; i < 5; i++) {
        px[i] = 1.5 * i + 0.25, py[i] = 2.0 - 0.75 * i, pz[i] = 0.125 * i * i;
        vx[i] = 0.03 * i, vy[i] = -0.02 * i, vz[i] = 0.01, m[i] = 1.0 / (i + 1);
    }
    for (u32 r = 0; r < n; r++) {
        for (int i = 0; i < 5; i++)
            for (int j = i + 1; j < 5; j++) {
                double dx = px[i] - px[j], dy = py[i] - py[j], dz = pz[i] - pz[j];
                double d2 = dx * dx + dy * dy + dz * dz + 0.01;
                double f = 0.001 / (d2 * __builtin_sqrt(d2));
                vx[i] -= dx * m[j] * f, vy[i] -= dy * m[j] * f, vz[i] -= dz * m[j] * f;
                vx[j] += dx * m[i] * f, vy[j] += dy * m[i] * f, vz[j] += dz * m[i] * f;
            }
        for (int i = 0; i < 5; i++)
            px[i] += 0.001 * vx[i], py[i] += 0.001 * vy[i], pz[i] += 0.001 * vz[i];
        /* one mandelbrot point per step: compares, conversions, branches */
        double cr = (int)(r % 300) / 150.0 - 1.5, ci = (int)(r / 300 % 200) / 100.0 - 1.0;
        double zr = 0, zi = 0;
        int k = 0;
        while (k < 60 && zr * zr + zi * zi < 4.0) {
            double t = zr * zr - zi * zi + cr;
            zi = 2 * zr * zi + ci;
            zr = t;
            k++;
        }
        h += (u32)k * (r | 1);
    }
    for (int i = 0; i < 5; i++)
        h = mix(h, dbits(px[i]) ^ dbits(vy[i]) ^ dbits(pz[i]));
    return h;
}

u64 k_sse_f(u32 n)
{
    static float a[48][48], b[48][48], c[48][48];
    u64 h = 8;
    for (int i = 0; i < 48; i++)
        for (int j = 0; j < 48; j++)
            a[i][j] = (float)(i * j % 7) * 0.3f, b[i][j] = (float)(i + j) * 0.01f;
    for (u32 r = 0; r < n; r++) {
        for (int i = 0; i < 48; i++)
            for (int j = 0; j < 48; j++) {
                float s = 0;
                for (int k = 0; k < 48; k++)
                    s += a[i][k] * b[k][j];
                c[i][j] = s;
            }
        float x = c[r % 48][r / 48 % 48] * 0.0001f;
        float y = 1 + x * (1 + x * (0.5f + x * (0.16666f + x * 0.041666f)));
        a[r % 48][r % 47] = y - (float)(int)y;
        h = mix(h, fbits(y));
    }
    return h;
}

typedef int v4si __attribute__((vector_size(16)));
typedef short v8hi __attribute__((vector_size(16)));
typedef float v4sf __attribute__((vector_size(16)));
typedef double v2df __attribute__((vector_size(16)));

u64 k_vec_int(u32 n)
{
    static v16qu src[1024], dst[1024];
    v4si acc = { 0, 0, 0, 0 };
    u64 h = 9;
    u8 *p = (u8 *)src;
    for (u32 i = 0; i < sizeof src; i++)
        p[i] = (u8)rng();
    for (u32 r = 0; r < n; r++) {
        v8hi w = { 77, 151, 29, 3, 77, 151, 29, (short)(r & 127) };
        for (u32 i = 0; i < 1024; i++) {
            v16qu s = src[i];
            v8hi lo = (v8hi)(s & (v16qu)((v8hi){} + 0x00ff)), hi = (v8hi)s >> 8;
            lo = lo * w;
            hi = (hi & (short)255) * w;
            acc += (v4si)(lo ^ (hi << 2));
            v16qu m = (v16qu)(s > dst[(i * 7) & 1023]);
            dst[i] = (s & m) | ((v16qu)(lo >> 4) & ~m);
            acc = __builtin_shuffle(acc, (v4si){ 1, 2, 3, 0 });
        }
    }
    h = mix(h, (u32)acc[0] | (u64)(u32)acc[1] << 32);
    h = mix(h, (u32)acc[2] | (u64)(u32)acc[3] << 32);
    return mix(h, dst[77][5]);
}

u64 k_vec_fp(u32 n)
{
    static v4sf a[512], b[512];
    static v2df d[512];
    u64 h = 10;
    for (int i = 0; i < 512; i++) {
        float f = (float)i;
        a[i] = (v4sf){ f, f + 0.5f, f * 0.25f, 1 };
        b[i] = (v4sf){ 0.5f, 1.25f, 0.75f, 1 / (f + 1) };
        d[i] = (v2df){ f, 1.0 / (f + 1) };
    }
    for (u32 r = 0; r < n; r++)
        for (int i = 0; i < 511; i++) {
            v4sf t = a[i] * b[i] + a[i + 1];
            a[i] = __builtin_shuffle(t, (v4si){ 3, 0, 1, 2 }) * 0.4999f;
            b[i] = (v4sf)((v4si)b[i] ^ ((v4si)(t > a[i]) & 1));
            d[i] = d[i] * 0.999 + d[i + 1] * 0.0005;
        }
    for (int i = 0; i < 512; i += 7)
        h = mix(h, fbits(a[i][0] + a[i][2]) ^ dbits(d[i][1]));
    return h;
}

u64 k_x87(u32 n)
{
    long double s = 0, x = 0.5L, y = 1;
    u64 h = 11;
    for (u32 r = 1; r <= n; r++) {
        long double t = (long double)(int)r;
        s += 1 / (t * t);
        x = x * 3.6L * (1 - x);
        y = y * 0.99999L + x * t / (t + 3);
        if (y > 100)
            y -= 99.5L;
        if ((r & 15) == 0) {
            long double q;
            __asm__("fsqrt" : "=t"(q) : "0"(x + y));
            s += q * 0.001L;
        }
        if ((r & 63) == 0) {
            long double q;
            __asm__("fsin" : "=t"(q) : "0"(x));
            y += q * 0.0L; /* result differs between FPUs: cost only */
        }
    }
    h = mix(h, dbits((double)s));
    h = mix(h, dbits((double)x));
    return mix(h, dbits((double)y));
}
