/* LANES neighbouring threads of a warp simulate a replica together; each holds SLOTS of the
   BATCH_SIZE samples of the step, in registers where they fit.

   Written ahead of this text: BATCH_SIZE, GROUP (samples that share statistics), LANES, SLOTS,
   THREADS (of a block), LARGEST_LENGTH, and the flags SCALED (there is a gamma), OF_BATCH
   (statistics are those of the samples) and NOISY (labels). */

constexpr int GROUPS = BATCH_SIZE / GROUP;

/* One of the threads that share a replica, and which threads of the warp these are. */
struct Worker {
    int lane;
    unsigned int team;
};

__device__ inline double sum_over_lanes(const Worker& worker, double x) {
    for (int distance = LANES / 2; distance > 0; distance /= 2)
        x += __shfl_xor_sync(worker.team, x, distance, LANES);
    return x;
}

__device__ inline bool holds(const Worker& worker, int slot) {
    return LANES * SLOTS == BATCH_SIZE || worker.lane * SLOTS + slot < BATCH_SIZE;
}

__device__ inline bool holds(const Worker& worker, int slot, int group) {
    return holds(worker, slot) &&
           (GROUPS == 1 || (worker.lane * SLOTS + slot) / GROUP == group);
}
