//! What a host shows of its kernel beyond the release string, and how that corrects the profile.
//!
//! Vendors backport: the release says where a kernel started, these say what it does.

use crate::profile::{ChainLimit, Era, Profile};

/// What was seen. `None`: could not be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Probed {
    /// The statistics have the column `chainlength` (`true`), or its forerunner `delete_list` (`false`).
    pub chain_counter: Option<bool>,
    /// Settings named `ip_conntrack_…` are there.
    pub old_names: Option<bool>,
    /// Settings named `nf_conntrack_…` are there.
    pub new_names: Option<bool>,
    /// `nf_conntrack_buckets` is writable in the initial namespace, by its mode.
    pub buckets_writable: Option<bool>,
    /// `nf_conntrack_events` is 2, which only kernels know that add the extension on demand.
    pub events_on_demand: Option<bool>,
}

impl Profile {
    /// This profile, where what was probed contradicts it corrected by that.
    ///
    /// Only what shows itself safely is used: a default that an administrator may have changed
    /// (`udp_timeout_stream`) says nothing about the kernel.
    #[must_use]
    pub fn corrected(&self, probed: &Probed) -> Self {
        let mut profile = *self;
        match (probed.chain_counter, profile.chain_limit) {
            // The bound as it was when the column appeared (5.15).
            (Some(true), None) => profile.chain_limit = Some(ChainLimit { least: 8, most: 31 }),
            (Some(false), Some(_)) => profile.chain_limit = None,
            _ => {}
        }
        profile.era = match (probed.old_names, probed.new_names) {
            (Some(true), Some(true)) => Era::Both,
            (Some(true), Some(false)) => Era::IpConntrack,
            (Some(false), Some(true)) => Era::NfConntrack,
            _ => profile.era,
        };
        profile.buckets_writable = probed.buckets_writable.unwrap_or(profile.buckets_writable);
        if probed.events_on_demand == Some(true) {
            profile.extension_size = crate::Bytes(0);
        }
        profile
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> &'static Profile {
        Profile::named(name).expect("is in the table")
    }

    #[test]
    fn what_was_not_probed_stays_as_the_release_has_it() {
        assert_eq!(named("6.18").corrected(&Probed::default()), *named("6.18"));
    }

    #[test]
    fn a_backported_chain_bound_shows_in_the_header() {
        let probed = Probed { chain_counter: Some(true), ..Probed::default() };
        assert_eq!(
            named("5.4").corrected(&probed).chain_limit,
            Some(ChainLimit { least: 8, most: 31 })
        );
        assert_eq!(named("6.1").corrected(&probed).chain_limit, named("6.1").chain_limit);
        let probed = Probed { chain_counter: Some(false), ..Probed::default() };
        assert_eq!(named("5.15").corrected(&probed).chain_limit, None);
    }

    #[test]
    fn a_kernel_built_without_the_old_names_has_only_the_new() {
        let probed = Probed { old_names: Some(false), new_names: Some(true), ..Probed::default() };
        assert_eq!(named("3.10").corrected(&probed).era, Era::NfConntrack);
        let none = Probed { old_names: Some(false), new_names: Some(false), ..Probed::default() };
        assert_eq!(named("3.10").corrected(&none).era, Era::Both);
    }
}
