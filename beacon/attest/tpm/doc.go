// Package tpm attests beacons and cores by a TPM 2.0: platform "tpm" of package attest.
//
// The story in three acts:
//
//	enrolment   machine → Application (EK certificate, EK, AK)   → Enroller.Challenge: manufacturer's chain, key attributes
//	            machine ← a secret that only the TPM with that EK, holding that AK, can read (credential activation)
//	            machine → the secret                              → Enroller.Finish: a signed Record "this AK lives in that TPM"
//	measuring   Machine.Measure extends build and configuration into OwnPCR and keeps a log of its own
//	quoting     Machine.Report: the AK signs the PCRs with the report data; the body carries Record, values and both logs
//	verifying   Verifier.Verify, offline, each check with its own error
//
// What it believes: TPM 2.0 library specification 1.59 and the manufacturer's certificate. A restricted signing key signs nothing
// that begins with TPM_GENERATED_VALUE unless the TPM itself made it, so a quote by such a key is about the PCRs of its own TPM.
// Whether the AK is such a key stands in its public area, whose hash is its name, which credential activation tied to the EK.
//
// What it promises: the PCRs that were required are in the quote, their values replay from the logs, the boot was measured at all,
// exactly one build and at most one configuration were measured since the last boot. Text in a firmware's log is not covered by its
// digests (a known way to relabel events), so only digests travel; the events of our own are hashed with their type.
//
// What an attacker may do: send any body; own other TPMs, also of the same make; run other software after an honest boot, which
// shows in OwnPCR. It is assumed not to probe the bus between TPM and processor, nor to have a quoting TPM of its own under the
// manufacturer's roots whose PCRs it extends as it likes: a discrete TPM moved to a mainboard of the attacker's does exactly that.
// Enrolment therefore names the machine, and who enrols looks at the machine.
//
// Secrets may be sealed to the registers (Machine.Seal): this machine alone gives them out, to this program.
//
// Ways to a TPM: the kernel's resource manager (/dev/tpmrm0) and sockets of swtpm ("unix:PATH", "tcp:HOST:PORT"); package swtpm runs such. There is no
// in-process simulator: those that exist need a C compiler.
package tpm
