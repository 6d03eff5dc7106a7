//! The mergeable log-linear histogram of `weft.v1.Histogram`: a bucket for each value below 128, then 64 buckets an octave.

use crate::proto;

/// Buckets that are allocated together.
const GROUP: usize = 64;

/// Counts values by their size. Empty it holds no memory; each octave in use holds half a kilobyte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    groups: Vec<Option<Box<[u64; GROUP]>>>,
    count: u64,
    sum: u64,
}

impl Histogram {
    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        let index = index(value);
        self.group(index / GROUP)[index % GROUP] += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// Adds all that `other` counted.
    pub fn merge(&mut self, other: &Histogram) {
        for (index, group) in other.groups.iter().enumerate() {
            if let Some(group) = group {
                self.group(index).iter_mut().zip(group.iter()).for_each(|(to, from)| *to += from);
            }
        }
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Sum of all values, in their unit.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Number of values up to `bound`, and of those above it that share its bucket.
    pub fn count_up_to(&self, bound: u64) -> u64 {
        let last = index(bound);
        self.buckets().take_while(|(index, _)| *index <= last).map(|(_, count)| count).sum()
    }

    /// The value that the part `quantile` (0 to 1) of all values does not exceed, within 1 %; `None` when nothing was counted.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let rank = ((quantile.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).max(1);
        let mut below = 0;
        for (index, count) in self.buckets() {
            if rank <= below + count {
                let (lower, upper) = bounds(index);
                // Ranks spread over the middle quarter of the bucket: wherever in it the value was, it is at most five eighths
                // of a bucket away, and a bucket is a 64th of its values.
                let part = ((rank - below) as f64 - 0.5) / count as f64;
                return Some(lower as f64 + (upper - lower) as f64 * (0.375 + 0.25 * part));
            }
            below += count;
        }
        None
    }

    /// The histogram as the contract carries it.
    pub fn to_proto(&self) -> proto::Histogram {
        let mut message = proto::Histogram {
            sum: self.sum,
            ..Default::default()
        };
        let mut previous = 0;
        for (index, count) in self.buckets() {
            message.index_deltas.push((index - previous) as u32);
            message.counts.push(count);
            previous = index;
        }
        message
    }

    /// The buckets that are not empty, ascending: index and count.
    fn buckets(&self) -> impl Iterator<Item = (usize, u64)> {
        let groups = self
            .groups
            .iter()
            .enumerate()
            .filter_map(|(index, group)| Some((index * GROUP, group.as_ref()?)));
        let buckets = groups.flat_map(|(first, group)| group.iter().enumerate().map(move |(index, &count)| (first + index, count)));
        buckets.filter(|(_, count)| *count > 0)
    }

    fn group(&mut self, index: usize) -> &mut [u64; GROUP] {
        if index >= self.groups.len() {
            self.groups.resize(index + 1, None);
        }
        self.groups[index].get_or_insert_with(|| Box::new([0; GROUP]))
    }
}

/// The bucket of a value.
fn index(value: u64) -> usize {
    // Position of the highest set bit above the sixth. It is 0 for the values that have a bucket of their own, so no branch is needed.
    let octave = 57 - (value | 64).leading_zeros();
    (octave as usize) * GROUP + (value >> octave) as usize
}

/// The lowest and the highest value of a bucket.
fn bounds(index: usize) -> (u64, u64) {
    let octave = (index / GROUP).saturating_sub(1);
    let lower = ((index - octave * GROUP) as u64) << octave;
    (lower, lower + ((1 << octave) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

    const LAST: usize = 3_775;

    /// Values of every size, and not only the large ones.
    fn value() -> impl Strategy<Value = u64> {
        prop_oneof![
            0..200u64,
            0..10_000_000u64,
            (any::<u64>(), 0..64u32).prop_map(|(bits, shift)| bits >> shift)
        ]
    }

    fn values() -> impl Strategy<Value = Vec<u64>> {
        proptest::collection::vec(value(), 0..200)
    }

    fn recorded(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|&value| histogram.record(value));
        histogram
    }

    /// The index as the contract documents it.
    fn documented(value: u64) -> u64 {
        match value {
            0..64 => value,
            _ => {
                let e = u64::from(63 - value.leading_zeros());
                64 + 64 * (e - 6) + ((value >> (e - 6)) - 64)
            }
        }
    }

    #[test]
    fn buckets_follow_on_each_other_from_0_to_the_largest_number() {
        let mut next = Some(0);
        for at in 0..=LAST {
            let (lower, upper) = bounds(at);
            assert_eq!(Some(lower), next);
            assert_eq!((index(lower), index(upper)), (at, at));
            next = upper.checked_add(1);
        }
        assert_eq!((next, index(u64::MAX)), (None, LAST));
    }

    #[test]
    fn an_empty_histogram_has_no_memory_and_no_quantile() {
        let empty = Histogram::default();
        assert_eq!(
            (empty.groups.capacity(), empty.quantile(0.5), empty.count_up_to(u64::MAX)),
            (0, None, 0)
        );
        assert_eq!(empty.to_proto(), proto::Histogram::default());
    }

    #[test]
    fn values_close_together_allocate_one_octave() {
        let histogram = recorded(&[10_000, 10_500, 12_345, 16_000]);
        assert_eq!(histogram.groups.iter().flatten().count(), 1);
    }

    #[test]
    fn a_sum_that_is_too_large_stays_at_the_largest_number() {
        assert_eq!(recorded(&[u64::MAX, u64::MAX]).sum(), u64::MAX);
    }

    proptest! {
        #[test]
        fn a_value_is_counted_where_the_contract_says(value in value()) {
            prop_assert_eq!(index(value) as u64, documented(value));
            let (lower, upper) = bounds(index(value));
            prop_assert!((lower..=upper).contains(&value));
        }

        #[test]
        fn quantiles_are_within_1_percent_of_the_values(mut values in values(), quantile in 0.0..=1.0f64) {
            let estimate = recorded(&values).quantile(quantile);
            values.sort_unstable();
            let rank = ((quantile * values.len() as f64).ceil() as usize).max(1);
            let exact = values.get(rank - 1).map(|&value| value as f64);
            prop_assert_eq!(estimate.is_some(), exact.is_some());
            if let (Some(estimate), Some(exact)) = (estimate, exact) {
                prop_assert!((estimate - exact).abs() <= exact * 0.01, "{estimate} for {exact}");
            }
        }

        #[test]
        fn quantiles_grow_with_what_is_asked(values in values(), low in 0.0..=1.0f64, high in 0.0..=1.0f64) {
            let histogram = recorded(&values);
            prop_assert!(histogram.quantile(low.min(high)) <= histogram.quantile(low.max(high)));
        }

        #[test]
        fn merging_is_recording_both(left in values(), right in values()) {
            let mut merged = recorded(&left);
            merged.merge(&recorded(&right));
            prop_assert_eq!(merged.to_proto(), recorded(&[left, right].concat()).to_proto());
        }

        #[test]
        fn the_contract_carries_every_value_in_its_bucket(values in values()) {
            let histogram = recorded(&values);
            let message = histogram.to_proto();
            let mut expected = std::collections::BTreeMap::new();
            values.iter().for_each(|&value| *expected.entry(documented(value)).or_insert(0u64) += 1);
            let indices = message.index_deltas.iter().scan(0, |at, &delta| { *at += u64::from(delta); Some(*at) });
            prop_assert!(indices.zip(message.counts.iter().copied()).eq(expected));
            prop_assert_eq!(message.counts.iter().sum::<u64>(), histogram.count());
            prop_assert_eq!(message.sum, values.iter().fold(0u64, |sum, &value| sum.saturating_add(value)));
        }

        #[test]
        fn counts_up_to_a_bound_are_off_by_its_bucket_at_most(values in values(), bound in value()) {
            let counted = recorded(&values).count_up_to(bound);
            let (_, upper) = bounds(index(bound));
            prop_assert_eq!(counted, values.iter().filter(|&&value| value <= upper).count() as u64);
        }
    }
}
