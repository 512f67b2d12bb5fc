// random.mjs - moments and amounts that a seed chooses, so that what failed can be had again.

/** A function that gives an integer from 0 to below `below` (mulberry32). */
export function seeded(seed) {
    let state = seed;
    return (below) => {
        state = (state + 0x6d2b79f5) | 0;
        let z = Math.imul(state ^ (state >>> 15), 1 | state);
        z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
        return ((z ^ (z >>> 14)) >>> 0) % below;
    };
}
