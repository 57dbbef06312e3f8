//! Building for Android: the ABIs, and the toolchains that link for them.

pub(crate) mod ndk;
