/* The samples of a step of a chain: their numbers, and the sums that the students' step needs.

   Sums over the samples go through the warp. The threads of a replica may make the step for several
   learners (learning rates), one after the other, for which they draw the samples once.

   Written ahead of this text, besides what lanes.cu names: the functions value and value_and_slope
   of the activation, what passes back through the statistics (statmech_bn/symbolic/step.py),
   random_numbers.cu, lanes.cu. */

/* Loops over slots are unrolled while the samples fit into registers, which have no index. */
constexpr int UNROLLED = SLOTS <= 8 ? SLOTS : 1;

struct Batch {
    double u[SLOTS], v[SLOTS], noise[SLOTS], normalized[SLOTS], spread[GROUPS], rest;
};

/* Sample m has the same numbers in whichever slot it is. */
__device__ inline void draw_batch(
    const Worker& worker, const Stream& stream, double label_noise, Batch& batch
) {
#pragma unroll UNROLLED
    for (int slot = 0; slot < SLOTS; ++slot) {
        const unsigned int m = worker.lane * SLOTS + slot;
        normals(draw(stream, FIELDS, m), &batch.u[slot], &batch.v[slot]);
        if (NOISY && slot % 2 == 0) {
            double second;
            normals(draw(stream, LABELS, m / 2), &batch.noise[slot], &second);
            if (slot + 1 < SLOTS) batch.noise[slot + 1] = label_noise * second;
            batch.noise[slot] *= label_noise;
        }
    }
    if (!OF_BATCH) return;
    for (int group = 0; group < GROUPS; ++group) {
        double mean = 0.0, variance = 0.0;
#pragma unroll UNROLLED
        for (int slot = 0; slot < SLOTS; ++slot)
            mean += holds(worker, slot, group) ? batch.u[slot] : 0.0;
        mean = sum_over_lanes(worker, mean) / GROUP;
#pragma unroll UNROLLED
        for (int slot = 0; slot < SLOTS; ++slot) {
            const double deviation = batch.u[slot] - mean;
            variance += holds(worker, slot, group) ? deviation * deviation : 0.0;
        }
        batch.spread[group] = sqrt(sum_over_lanes(worker, variance) / GROUP);
        const double inverse = 1.0 / batch.spread[group];
#pragma unroll UNROLLED
        for (int slot = 0; slot < SLOTS; ++slot)
            if (GROUPS == 1 || holds(worker, slot, group))
                batch.normalized[slot] = (batch.u[slot] - mean) * inverse;
    }
}

/* Sums over the samples: of c u, c v and c^2, a lane's part each, and the mean of delta times the
   normalized field; c is without its factor 1/BATCH_SIZE. */
struct Sums {
    double cu, cv, cc, pull;
};

/* The teacher's field is teacher_u u + teacher_v v, and phi is `size` times the normalized field. */
__device__ inline Sums respond(
    const Worker& worker, const Batch& batch, double teacher_u, double teacher_v, double size
) {
    const double* student = OF_BATCH ? batch.normalized : batch.u;
    double delta[SLOTS];
    Sums sums = {0.0, 0.0, 0.0, 0.0};
#pragma unroll UNROLLED
    for (int slot = 0; slot < SLOTS; ++slot) {
        double target, output[2];
        value(teacher_u * batch.u[slot] + teacher_v * batch.v[slot], &target);
        value_and_slope(size * student[slot], output);
        if (NOISY) target += batch.noise[slot];
        delta[slot] = holds(worker, slot) ? output[1] * (target - output[0]) : 0.0;
    }
    for (int group = 0; group < GROUPS; ++group) {
        double mean = 0.0, along = 0.0;
#pragma unroll UNROLLED
        for (int slot = 0; slot < SLOTS; ++slot) {
            if (GROUPS > 1 && !holds(worker, slot, group)) continue;
            mean += delta[slot];
            along += delta[slot] * student[slot];
        }
        if (OF_BATCH) mean = sum_over_lanes(worker, mean) / GROUP;
        if (SCALED) along = sum_over_lanes(worker, along) / GROUP;
        const double narrowing = OF_BATCH ? 1.0 / batch.spread[group] : 1.0;
#pragma unroll UNROLLED
        for (int slot = 0; slot < SLOTS; ++slot) {
            if (!holds(worker, slot, group)) continue;
            double c = delta[slot];
            if (OF_BATCH) passed(c, mean, student[slot], along, &c);
            c *= narrowing;
            sums.cu += c * batch.u[slot];
            sums.cv += c * batch.v[slot];
            sums.cc += c * c;
        }
        sums.pull += along / GROUPS;
    }
    return sums;
}
