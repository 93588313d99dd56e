//! How long the hash chains get.
//!
//! Kernel: `nf_conntrack_tuple_taken()`, `__nf_conntrack_confirm()`: each entry hangs in two chains, by its two
//! directions, and a keyed hash spreads them, so that the length of a chain is Poisson distributed.

/// Average chain of so many entries, and the longest one to be expected: fewer than one chain is longer.
pub(super) fn at(entries: u64, buckets: u64) -> (f64, u64) {
    let buckets = buckets.max(1) as f64;
    let mean = 2.0 * entries as f64 / buckets;
    // Far out no chain is worth counting: such a table is refused for other reasons.
    const FAR: f64 = 500.0;
    if mean > FAR {
        return (mean, mean as u64);
    }
    // P(k) by recurrence from P(0) = e^-mean; the tail is what is left.
    let mut each = exp_minus(mean);
    let mut left = 1.0 - each;
    let mut k = 0u64;
    while (buckets * left >= 1.0 || (k as f64) < mean) && k < 2000 {
        k += 1;
        each *= mean / k as f64;
        left -= each;
    }
    (mean, k)
}

/// e to the power of -x, x ≥ 0: halved until the series is short, then squared.
fn exp_minus(x: f64) -> f64 {
    let mut halvings = 0;
    let mut small = x;
    while small > 0.5 {
        small /= 2.0;
        halvings += 1;
    }
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..20u32 {
        term *= -small / f64::from(n);
        sum += term;
    }
    for _ in 0..halvings {
        sum *= sum;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_buckets_as_entries_keep_chains_at_two_and_the_longest_at_eleven() {
        let (mean, longest) = at(262_144, 262_144);
        assert!((mean - 2.0).abs() < 1e-9);
        // Of 262,144 chains with mean 2 there are 0.36 longer than 11, and 2.2 longer than 10.
        assert_eq!(longest, 11);
        assert_eq!(at(0, 1024).1, 0);
        assert!((at(4_000_000, 16_384).0 - 488.28125).abs() < 1e-9);
    }

    #[test]
    fn the_exponential_is_right_to_many_digits() {
        assert!((exp_minus(2.0) - 0.135_335_283_236_612_7).abs() < 1e-12);
        assert!((exp_minus(0.0) - 1.0).abs() < 1e-15);
        assert!((exp_minus(10.0) - 4.539_992_976_248_485e-5).abs() < 1e-15);
    }
}
