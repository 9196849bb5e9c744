//! Where settings come from, and what the product refuses.
