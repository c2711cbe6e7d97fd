/* Put before every C++ file of llama.cpp (-include), this mends how GCC compiles its use of AMX.
 *
 * GCC's _tile_loadconfig says of its operand that 8 bytes of it are read, and not all 64. So the
 * optimizer throws away most of the configuration that ggml-cpu/amx/mmq.cpp fills in just before,
 * and every computation on a processor with AMX ends in a segmentation fault. Here the operand is
 * all 64 bytes. Known to llama.cpp as pull request 26954; tests/package/test_amx.py knows when the
 * compiler or llama.cpp is mended.
 */
#if defined(__AMX_TILE__) && defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>
#undef _tile_loadconfig
#define _tile_loadconfig(config) \
    __asm__ volatile("ldtilecfg\t%X0" : : "m"(*(const char(*)[64])(config)))
#endif
