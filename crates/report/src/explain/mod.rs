//! The pages of the findings.
