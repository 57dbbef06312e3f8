//! `libhappy`: the C interface of happy-phone-llm. The header is `include/happy.h`.
#![deny(unsafe_code)]
