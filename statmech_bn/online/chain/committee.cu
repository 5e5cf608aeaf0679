/* The directions of a committee's chain on isotropic inputs: the rows of C, and A.

   statmech_bn/online/chain/committee.py states the equations; committee_samples.cu is ahead of this
   text. A unit's components are its row of C. */

struct Directions {
    const Layout& layout;
    double others[ACROSS][ACROSS];

    __device__ Directions(const Layout& layout, double*) : layout(layout) {}

    /* Each lane draws another entry of A's diagonal. */
    __device__ void draw_others(const Worker& worker, const Stream& stream) {
        Normals numbers(stream, 0);
        draw_below(numbers, others);
        double own = 0.0;
        for (int i = 0; i < ACROSS; ++i) {
            if (i % LANES == 0 && i + worker.lane < ACROSS)
                own = draw_diagonal(stream, layout.others[0], i + worker.lane, 0);
            others[i][i] = LANES == 1 ? own : __shfl_sync(worker.team, own, i % LANES, LANES);
        }
    }

    /* The rows, and what fields are divided by. */
    __device__ void look(
        const Worker&, const double* weights, double (&rows)[UNITS][DIRECTIONS],
        double (&spread)[UNITS]
    ) const {
        for (int k = 0; k < UNITS; ++k) {
            double square = 0.0;
            for (int j = 0; j < DIRECTIONS; ++j) {
                rows[k][j] = weights[k * DIRECTIONS + j];
                square += rows[k][j] * rows[k][j];
            }
            spread[k] = sqrt(square);
        }
    }

    /* Moves the rows; returns the largest of their squared lengths. */
    __device__ double move(
        const Worker& worker, const Batch& batch, double keep, Gradient& gradient,
        double (&rows)[UNITS][DIRECTIONS], double* weights
    ) const {
        double inner[UNITS][ACROSS], moved[UNITS][UNITS + ACROSS], largest = 0.0;
        for (int k = 0; k < UNITS; ++k)
            for (int j = 0; j < DIRECTIONS; ++j) {
                double total = 0.0;
                for (int slot = 0; slot < SLOTS; ++slot)
                    total += gradient.c[k][slot] * batch.inputs[slot][j];
                rows[k][j] =
                    (keep - gradient.turn[k]) * rows[k][j] + sum_over_lanes(worker, total);
            }
        factorize(worker, gradient.c, inner);
        for (int k = 0; k < UNITS; ++k) {
            for (int j = 0; j < UNITS; ++j) moved[k][j] = rows[k][TEACHERS + j];
            for (int j = 0; j < ACROSS; ++j) {
                moved[k][UNITS + j] = 0.0;
                for (int i = j; i < ACROSS; ++i)
                    moved[k][UNITS + j] += inner[k][i] * others[i][j];
            }
        }
        triangularize(moved);
        for (int k = 0; k < UNITS; ++k) {
            double square = 0.0;
            for (int j = 0; j < DIRECTIONS; ++j) {
                const double next = j < TEACHERS ? rows[k][j] : moved[k][j - TEACHERS];
                square += next * next;
                if (worker.lane == 0) weights[k * DIRECTIONS + j] = next;
            }
            if (!(square <= largest)) largest = square;
        }
        return largest;
    }
};
