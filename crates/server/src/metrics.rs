//! Counters in Prometheus' text format.

use crate::delta::Summary;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that several threads change.
#[derive(Debug, Default)]
pub(crate) struct Number(AtomicU64);

impl Number {
    pub(crate) fn add(&self, n: usize) {
        self.0.fetch_add(n as u64, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, n: usize) {
        self.0.fetch_sub(n as u64, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts a running generation until it is dropped.
pub(crate) struct Counted(Arc<Metrics>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.running.sub(1);
    }
}

/// The counters of a server, over all models.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) requests: Number,
    pub(crate) refused: Number,
    pub(crate) connections: Number,
    /// Contexts that were read from session files, and contexts that could not be read or written.
    pub(crate) contexts_restored: Number,
    pub(crate) contexts_refused: Number,
    /// Guessed tokens that were computed, and those of them that were right.
    pub(crate) guessed: Number,
    pub(crate) guessed_right: Number,
    /// How often an idle model gave memory back.
    pub(crate) idle_trims: Number,
    /// Bytes that KV caches hold, including pages that are free again.
    pub(crate) kv_bytes: Number,
    /// Generations that wait for a slot, or for another slot that computes a part of their prompt.
    pub(crate) waiting: Number,
    /// Running generations.
    running: Number,
    answers: Number,
    prompt_tokens: Number,
    cached_tokens: Number,
    generated_tokens: Number,
    prefill_micros: Number,
    decode_micros: Number,
}

impl Metrics {
    /// Counts a generation that runs.
    pub(crate) fn running(self: &Arc<Self>) -> Counted {
        self.running.add(1);
        Counted(self.clone())
    }

    /// Counts a prompt when its generation starts.
    pub(crate) fn begun(&self, prompt: usize, cached: usize) {
        self.prompt_tokens.add(prompt);
        self.cached_tokens.add(cached);
    }

    /// Counts a generation that has ended.
    pub(crate) fn done(&self, summary: &Summary) {
        self.answers.add(1);
        self.generated_tokens.add(summary.usage.generated);
        self.prefill_micros.add(summary.prefill.as_micros() as usize);
        self.decode_micros.add(summary.decode.as_micros() as usize);
    }

    /// Returns the counters as text for Prometheus.
    pub(crate) fn text(&self) -> String {
        let counter = "counter";
        let gauge = "gauge";
        let seconds = |micros: &Number| micros.get() as f64 / 1e6;
        let rows: [(&str, &str, &str, f64); 17] = [
            ("requests_total", counter, "HTTP requests", self.requests.get() as f64),
            ("requests_refused_total", counter, "HTTP requests that were refused", self.refused.get() as f64),
            ("answers_total", counter, "Answers that were generated to their end", self.answers.get() as f64),
            ("prompt_tokens_total", counter, "Tokens of prompts", self.prompt_tokens.get() as f64),
            (
                "prompt_tokens_cached_total",
                counter,
                "Tokens of prompts that were not computed again",
                self.cached_tokens.get() as f64,
            ),
            ("generated_tokens_total", counter, "Tokens of answers", self.generated_tokens.get() as f64),
            ("guessed_tokens_total", counter, "Tokens that were guessed", self.guessed.get() as f64),
            (
                "guessed_tokens_right_total",
                counter,
                "Tokens that were guessed and right",
                self.guessed_right.get() as f64,
            ),
            ("prefill_seconds_total", counter, "Time that prompts took", seconds(&self.prefill_micros)),
            ("decode_seconds_total", counter, "Time that answers took", seconds(&self.decode_micros)),
            (
                "contexts_restored_total",
                counter,
                "Contexts that were read from session files",
                self.contexts_restored.get() as f64,
            ),
            (
                "contexts_refused_total",
                counter,
                "Contexts that could not be read or written",
                self.contexts_refused.get() as f64,
            ),
            (
                "idle_trims_total",
                counter,
                "Times that a model without requests gave memory back",
                self.idle_trims.get() as f64,
            ),
            (
                "kv_bytes",
                gauge,
                "Bytes of keys, values and states that models hold",
                self.kv_bytes.get() as f64,
            ),
            ("generations_running", gauge, "Answers that are being generated", self.running.get() as f64),
            ("generations_waiting", gauge, "Answers that wait for a slot", self.waiting.get() as f64),
            ("connections", gauge, "Open connections", self.connections.get() as f64),
        ];
        let mut text = String::new();
        for (name, kind, help, value) in rows {
            let _ = writeln!(
                text,
                "# HELP happy_{name} {help}.\n# TYPE happy_{name} {kind}\nhappy_{name} {value}"
            );
        }
        text
    }
}
