// The worker: samples to text with onnxruntime-web, in pieces of at most half a minute.

import * as ort from "./runtime/ort.js";

const LONGEST_S = 30;
const QUIET_S = 0.1;
let settings, session;

self.onmessage = ({ data }) => (settings ? queue(data) : load(data));

async function load(given) {
  settings = given;
  try {
    ort.env.wasm.numThreads = 1; // several need headers that static servers do not send
    ort.env.wasm.wasmPaths = {
      mjs: new URL("runtime/ort-wasm.js", import.meta.url).href,
      wasm: new URL("runtime/ort-wasm.wasm", import.meta.url).href,
    };
    const model = new URL("model.onnx", import.meta.url).href;
    session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
    postMessage({ ready: true });
  } catch (error) {
    postMessage({ error: `The model cannot be loaded: ${error.message}` });
  }
}

let last = Promise.resolve();

function queue(job) {
  last = last.then(() => transcribe(job)).catch((error) => {
    postMessage({ number: job.number, text: "", done: true });
    postMessage({ error: `Transcription failed: ${error.message}` });
  });
}

async function transcribe({ number, samples }) {
  const texts = [];
  let start = 0;
  do {
    const end = pieceEnd(samples, start);
    texts.push(await recognise(samples.subarray(start, end)));
    start = end;
    const text = texts.filter(Boolean).join(" ");
    postMessage({ number, text, share: start / samples.length, done: start >= samples.length });
  } while (start < samples.length);
}

// The end of the next piece: at the quietest place of its second half, if more than LONGEST_S are left.
function pieceEnd(samples, start) {
  const most = LONGEST_S * settings.sample_rate_hz;
  if (samples.length - start <= most) return samples.length;
  const width = Math.round(QUIET_S * settings.sample_rate_hz);
  let best = start + most, least = Infinity;
  for (let at = start + most / 2; at + width <= start + most; at += width) {
    let energy = 0;
    for (let i = at; i < at + width; i++) energy += samples[i] * samples[i];
    if (energy < least) [best, least] = [at + width / 2, energy];
  }
  return Math.floor(best);
}

async function recognise(samples) {
  if (samples.length < settings.window_samples) return "";
  const { log_probs } = await session.run({
    samples: new ort.Tensor("float32", samples, [1, samples.length]),
    lengths: new ort.Tensor("int64", BigInt64Array.of(BigInt(samples.length)), [1]),
  });
  const [, frames, symbols] = log_probs.dims;
  const written = [];
  let previous = 0; // blank
  for (let frame = 0; frame < frames; frame++) {
    const values = log_probs.data.subarray(frame * symbols, (frame + 1) * symbols);
    const best = values.reduce((found, value, i) => (value > values[found] ? i : found), 0);
    if (best && best !== previous) written.push(settings.symbols[best]);
    previous = best;
  }
  const isSpelt = settings.kind === "characters" || settings.kind === "bpe";
  const text = written.join(isSpelt ? "" : " ").replaceAll(settings.kind === "bpe" ? "▁" : " ", " ");
  return text.normalize("NFC").trim().replace(/\s+/gu, " ");
}
