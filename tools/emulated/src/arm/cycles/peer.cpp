// Multiplies a small matrix again and again by one of llama.cpp's kernels, as crates/kernels/examples/repeat.rs does by one of
// ours: `peer KERNEL TOKENS TIMES`. A kernel is a format, whose rows are multiplied as they lie in the file, or a format with the
// rows and bytes of an interleaved copy (`q4_K_8x4`). Both are called as llama.cpp calls them for one thread.

#define GGML_COMMON_DECL_CPP
#include "ggml-common.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

// Rows of the matrix and weights in a row, as in repeat.rs.
static const int ROWS = 64, K = 2048;

typedef void dot_fn(int n, float * s, size_t bs, const void * x, size_t bx, const void * y, size_t by, int rows);
typedef void mul_fn(int n, float * s, size_t bs, const void * x, const void * y, int rows, int columns);

// Format, activations, and how many rows and tokens at a time the kernel takes if it has i8mm.
#define DOTS(X) \
    X(q1_0, q8_0, 1) X(q2_0, q8_0, 1) X(q4_0, q8_0, 2) X(q4_1, q8_1, 2) X(q5_0, q8_0, 1) X(q5_1, q8_1, 1) X(q8_0, q8_0, 2) \
    X(q2_K, q8_K, 1) X(q3_K, q8_K, 1) X(q4_K, q8_K, 2) X(q5_K, q8_K, 1) X(q6_K, q8_K, 2) X(tq1_0, q8_K, 1) X(tq2_0, q8_K, 1) \
    X(iq1_s, q8_K, 1) X(iq1_m, q8_K, 1) X(iq2_xxs, q8_K, 1) X(iq2_xs, q8_K, 1) X(iq2_s, q8_K, 1) X(iq3_xxs, q8_K, 1) \
    X(iq3_s, q8_K, 1) X(iq4_nl, q8_0, 1) X(iq4_xs, q8_K, 1) X(mxfp4, q8_0, 1) X(nvfp4, q8_0, 1)
#ifdef __ARM_FEATURE_MATMUL_INT8
#define REPACKED(X) \
    X(q1_0_4x8, q8_0) X(q4_0_4x8, q8_0) X(q8_0_4x8, q8_0) X(iq4_nl_4x4, q8_0) X(mxfp4_4x4, q8_0) X(q4_K_8x8, q8_K) \
    X(q5_K_8x8, q8_K) X(q6_K_8x8, q8_K)
#else
#define REPACKED(X) \
    X(q1_0_4x4, q8_0) X(q4_0_4x4, q8_0) X(q8_0_4x4, q8_0) X(iq4_nl_4x4, q8_0) X(mxfp4_4x4, q8_0) X(q4_K_8x4, q8_K) \
    X(q5_K_8x4, q8_K) X(q6_K_8x4, q8_K)
#endif

// Weights in a block.
enum { K_q1_0 = QK1_0, K_q2_0 = QK2_0, K_q4_0 = 32, K_q4_1 = 32, K_q5_0 = 32, K_q5_1 = 32, K_q8_0 = 32, K_q8_1 = 32,
       K_iq4_nl = 32, K_mxfp4 = 32, K_nvfp4 = QK_NVFP4, K_q2_K = 256, K_q3_K = 256, K_q4_K = 256, K_q5_K = 256, K_q6_K = 256,
       K_q8_K = 256, K_tq1_0 = 256, K_tq2_0 = 256, K_iq1_s = 256, K_iq1_m = 256, K_iq2_xxs = 256, K_iq2_xs = 256,
       K_iq2_s = 256, K_iq3_xxs = 256, K_iq3_s = 256, K_iq4_xs = 256 };

extern "C" {
#define DECLARE_DOT(format, act, rows) dot_fn ggml_vec_dot_##format##_##act;
DOTS(DECLARE_DOT)
#define DECLARE_MUL(kernel, act) mul_fn ggml_gemv_##kernel##_##act, ggml_gemm_##kernel##_##act;
REPACKED(DECLARE_MUL)

// Tables that llama.cpp's other files hold. What is in them has no influence on which instructions run.
extern float ggml_table_f32_f16[1 << 16], ggml_table_f32_ue4m3[1 << 8];
float ggml_table_f32_f16[1 << 16], ggml_table_f32_ue4m3[1 << 8];
}

struct Dot {
    const char * name;
    dot_fn * dot;
    size_t weights, acts;
    int rows;
};

static const Dot dots[] = {
#define DOT(format, act, rows) \
    {#format, ggml_vec_dot_##format##_##act, sizeof(block_##format) * (K / K_##format), sizeof(block_##act) * (K / K_##act), rows},
    DOTS(DOT)
};

struct Mul {
    const char * name;
    mul_fn *gemv, *gemm;
};

static const Mul muls[] = {
#define MUL(kernel, act) {#kernel, ggml_gemv_##kernel##_##act, ggml_gemm_##kernel##_##act},
    REPACKED(MUL)
};

int main(int argc, char ** argv) {
    if (argc != 4) {
        fprintf(stderr, "expected a kernel, a number of tokens (1, or a multiple of 4) and how many times\n");
        return 2;
    }
    const int tokens = atoi(argv[2]), times = atoi(argv[3]);
    // At most 1.25 bytes a weight or activation.
    std::vector<char> w(ROWS * K * 5 / 4), a((size_t) tokens * K * 5 / 4);
    std::vector<float> y((size_t) tokens * ROWS);
    memset(w.data(), 0x21, w.size());
    memset(a.data(), 0x21, a.size());

    for (const Dot & d : dots) {
        if (strcmp(d.name, argv[1]) != 0) {
            continue;
        }
#ifdef __ARM_FEATURE_MATMUL_INT8
        const int step = tokens == 1 ? 1 : d.rows;
#else
        const int step = 1;
#endif
        for (int i = 0; i < times; i++) {
            for (int t = 0; t < tokens; t += step) {
                for (int r = 0; r < ROWS; r += step) {
                    d.dot(K, &y[(size_t) t * ROWS + r], ROWS, &w[r * d.weights], d.weights, &a[t * d.acts], d.acts, step);
                }
            }
        }
        return 0;
    }
    for (const Mul & m : muls) {
        if (strcmp(m.name, argv[1]) != 0) {
            continue;
        }
        for (int i = 0; i < times; i++) {
            (tokens == 1 ? m.gemv : m.gemm)(K, y.data(), ROWS, w.data(), a.data(), tokens, ROWS);
        }
        return 0;
    }
    fprintf(stderr, "no kernel %s in this build\n", argv[1]);
    return 2;
}
