//! What to keep and what to remove: a pure function of catalog, policy and now.
