// Package trial tries one core against one constellation: who stands where, who lies, what is permitted, and what comes of it. Its
// measurements are drawn (simnet/sample), its adversaries are of the library (simnet/adversary), and its judge is the real one:
// locator/verdict over locator/region, with the real atlas. No twin of them is here, so what a million trials show, they show of
// what a gate runs.
//
//	Setup ── Prepare ──> Trial ── Run(Core) ──> Outcome
//
// What it believes: the world's law of delays, and that what signatures, MACs and nonces refuse is refused. Adversaries whom only
// these refuse (adversary.ByProtocol) do here what the protocol leaves them, which is little; the stories run them over the real
// programs.
//
// What it promises.
//
//   - An Outcome is a pure function of the Setup and the Core: not of order, not of the number of processors.
//   - A Trial does not change after Prepare; Run may be called from many goroutines.
//   - It can fail: where an adversary breaks what a verdict assumes, false accepts are found and counted.
package trial
