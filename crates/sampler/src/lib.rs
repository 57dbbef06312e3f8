//! Token samplers for language models: composable steps over logits, in place
