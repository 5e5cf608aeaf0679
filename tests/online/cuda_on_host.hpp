// What CUDA source needs to be compiled by a C++ compiler. The lanes of a warp are coroutines that
// take turns at each exchange, so that a warp runs on one core, the same way each time.
#include <ucontext.h>

#include <cmath>
#include <utility>

#define __host__
#define __device__
#define __global__
#define __launch_bounds__(...)
using std::isnan;

inline long long min(long long a, long long b) { return a < b ? a : b; }

struct Index {
    unsigned int x;
};
static Index blockIdx, blockDim, threadIdx;

inline void sincospi(double x, double* sine, double* cosine) {
    *sine = std::sin(M_PI * x);
    *cosine = std::cos(M_PI * x);
}

static ucontext_t caller, contexts[32];
static char stacks[32][1 << 18];
static int lane, width, parity[32];
static double mailboxes[2][32];

inline void let_others_arrive() {
    const int me = lane;
    lane = (me + 1) % width;
    if (width > 1) swapcontext(&contexts[me], &contexts[lane]);
}

inline double exchange(double x, int source) {
    const int box = parity[lane] ^= 1;
    mailboxes[box][lane] = x;
    let_others_arrive();
    return mailboxes[box][source];
}

inline double __shfl_xor_sync(unsigned int, double x, int distance, int) {
    return exchange(x, lane ^ distance);
}

inline double __shfl_sync(unsigned int, double x, int source, int) { return exchange(x, source); }

inline void __syncwarp(unsigned int) { let_others_arrive(); }

static void (*body)(void*);
static void* context;
static unsigned int first_thread;

inline void run_lane() {
    threadIdx.x = first_thread + lane;
    body(context);
    lane += 1;  // lane 0 is the first to end
    setcontext(lane == width ? &caller : &contexts[lane]);
}

// As cudaLaunchKernel: `pointers` lead to the kernel's arguments.
template <class... Arguments>
void launch_on_host(
    void (*kernel)(Arguments...), int lanes, unsigned int blocks, unsigned int threads,
    void** pointers
) {
    auto call = [=] {
        [&]<std::size_t... i>(std::index_sequence<i...>) {
            kernel(*static_cast<Arguments*>(pointers[i])...);
        }(std::index_sequence_for<Arguments...>{});
    };
    body = [](void* f) { (*static_cast<decltype(call)*>(f))(); };
    context = &call;
    width = lanes;
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x)
        for (first_thread = 0; first_thread < threads; first_thread += width) {
            for (int i = 0; i < width; ++i) {
                parity[i] = 0;
                getcontext(&contexts[i]);
                contexts[i].uc_stack = {stacks[i], 0, sizeof stacks[i]};
                makecontext(&contexts[i], run_lane, 0);
            }
            lane = 0;
            swapcontext(&caller, &contexts[0]);
        }
}
