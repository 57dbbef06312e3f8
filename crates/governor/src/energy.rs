//! What a number of threads costs, and which number computes most when heat is the limit.
//!
//! ```text
//! power(n, s)  =  cost(n) s^2.5                              s: clock;  cost(n): sum over the n strongest cores of capacity^2
//! rate(n, s)   =  1 / sqrt(1 / (C s)^2 + 1 / M^2)            C: the rate that the cores allow, rate(1) times their capacities
//!                                                            M: the rate that memory allows, from the measured rate(n, 1) and C
//! ```
//! When heat is the limit, every number of threads ends up with the same power, since the system, or a cap on the rate, lowers the
//! clock accordingly. So the *worth* of a count is its rate at the clock at which it draws a given power.
//!
//! Both exponents of power fit freqbench's measurements (CoreMark and milliwatts by frequency, of Snapdragon 835, 855 and 865 and
//! Tensor G1 to G4). Big cores draw 2 to 6 times the power of little ones per unit of speed; capacity^2 is in the middle. From half
//! to full clock, a big core's power grows by a factor of 5 to 7, which gives 2.5. The rate is a roofline with a round corner: near
//! the corner, cores wait for memory while memory waits for cores.

/// The exponent with which power grows with the clock.
const CLOCK: f64 = 2.5;
/// Linux sets the clock so that a core is busy for 80 % of the time. So a pace near the highest speed needs the highest clock.
const SCHEDUTIL: f64 = 1.25;

/// The relative cost and strength for each number of threads.
#[derive(Clone, Debug)]
pub(crate) struct Costs {
    cost: Vec<f64>,
    strength: Vec<f64>,
}

impl Costs {
    /// Makes the costs of threads on the strongest cores with these capacities. Cores that are not in the list count as the weakest.
    pub(crate) fn new(capacities: &[u32], max_threads: usize) -> Self {
        let mut sorted: Vec<u32> = capacities.iter().copied().filter(|capacity| *capacity > 0).collect();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        let strongest = f64::from(sorted.first().copied().unwrap_or(1));
        let weakest = sorted.last().copied().unwrap_or(1);
        let share = |i: usize| f64::from(sorted.get(i).copied().unwrap_or(weakest)) / strongest;
        let sums = |power: i32| {
            let mut sum = 0.0;
            let add = move |i| {
                sum += share(i).powi(power);
                sum
            };
            (0..max_threads).map(add).collect()
        };
        Self { cost: sums(2), strength: sums(1) }
    }

    /// Returns the cost of `threads` threads, 1 to `max_threads`. The cost of one thread is 1.0.
    pub(crate) fn of(&self, threads: usize) -> f64 {
        self.cost.get(threads.saturating_sub(1)).copied().unwrap_or(f64::INFINITY)
    }

    /// Returns the rate of `threads` threads at a clock, which is relative to the one at which they made `rate` tokens per second and
    /// the strongest core alone `single`. If `single` is 0.0 (unknown), the rate follows the clock.
    fn rate(&self, threads: usize, rate: f64, single: f64, clock: f64) -> f64 {
        let strength = self.strength.get(threads.saturating_sub(1)).copied().unwrap_or(1.0);
        let cores = (single * strength).max(rate);
        let square = |x: f64| x * x;
        let memory = 1.0 / square(rate) - 1.0 / square(cores);
        1.0 / (1.0 / square(cores * clock) + memory).sqrt()
    }

    /// Returns the mean power of `threads` threads that pauses keep at `target` tokens per second. Their speed at full clock is `rate`.
    pub(crate) fn paced(&self, threads: usize, rate: f64, single: f64, target: f64) -> f64 {
        let (mut low, mut high) = (0.05, 1.0);
        for _ in 0..20 {
            let middle = 0.5 * (low + high);
            let enough = self.rate(threads, rate, single, middle) >= target * SCHEDUTIL;
            *(if enough { &mut high } else { &mut low }) = middle;
        }
        let busy = (target / self.rate(threads, rate, single, high)).min(1.0);
        self.of(threads) * libm::pow(high, CLOCK) * busy
    }

    /// Returns the rate of `threads` threads that draw `power`, on the scale of [`Costs::of`]. `most` is the highest clock, relative
    /// as in `rate`.
    pub(crate) fn worth(&self, threads: usize, rate: f64, single: f64, power: f64, most: f64) -> f64 {
        if rate <= 0.0 {
            return 0.0;
        }
        let clock = libm::pow(power / self.of(threads), 1.0 / CLOCK).min(most);
        self.rate(threads, rate, single, clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-3 * b
    }

    #[test]
    fn threads_go_to_the_strongest_cores() {
        let costs = Costs::new(&[512, 1024, 0, 512, 1024], 6);
        let found: Vec<f64> = (1..=6).map(|n| costs.of(n)).collect();
        assert_eq!(found, [1.0, 2.0, 2.25, 2.5, 2.75, 3.0]);
        let unknown = Costs::new(&[], 3);
        assert_eq!([unknown.of(1), unknown.of(2), unknown.of(3)], [1.0, 2.0, 3.0]);
    }

    #[test]
    fn at_little_power_more_cores_at_a_lower_clock_are_worth_it() {
        let costs = Costs::new(&[1024; 4], 4);
        // Memory allows 12 tokens per second, so at full clock the fourth core adds nothing.
        let rates = [5.0, 9.0, 11.5, 11.5];
        let worth = |threads: usize, power| costs.worth(threads, rates[threads - 1], rates[0], power, 1.0);
        assert!(worth(4, 1.0) > worth(3, 1.0) && worth(3, 1.0) > worth(2, 1.0));
        assert!(worth(4, 4.0) <= worth(3, 4.0));
        // If cores are the limit, half the power means a clock of 0.758.
        assert!(near(costs.worth(1, 5.0, 5.0, 0.5, 1.0), 5.0 * 0.7579));
        // The clock does not exceed the hardware's.
        assert!(near(costs.worth(1, 5.0, 5.0, 9.0, 1.0), 5.0));
        assert!(near(costs.worth(1, 5.0, 5.0, 9.0, 1.25), 6.25));
        assert_eq!(costs.worth(1, 0.0, 5.0, 1.0, 1.0), 0.0);
    }

    #[test]
    fn pauses_lower_the_clock_once_they_are_long_enough() {
        let costs = Costs::new(&[1024; 2], 2);
        let paced = |target| costs.paced(1, 10.0, 10.0, target);
        assert!(near(paced(10.0), 1.0));
        // The clock stays, and the core pauses.
        assert!(near(paced(9.0), 0.9));
        assert!(near(paced(8.0), 0.8));
        // Half of the clock, for 80 % of the time.
        assert!(near(paced(4.0), 0.8 * 0.1768));
        // Two cores at half the clock draw less than one at full.
        assert!(costs.paced(2, 20.0, 10.0, 8.0) < paced(8.0));
    }
}
