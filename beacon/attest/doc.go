// Package attest turns evidence about what runs on a machine into results that others can rely on, in the roles of RFC 9334:
//
//	attester   beacon or core    makes Evidence bound to its identity and a nonce
//	appraiser  Appraiser         verifies it, compares it with reference values, signs a Result
//	relying    core, gate        VerifyResult: the only road to an Appraised fact; Inspector: that, and evidence seen with one's own eyes
//
// What it believes: verifying is not validating. A report of a machine in debug mode has a perfectly good signature, so after a
// platform's verifier has checked signatures and chains, one list of rules for all platforms decides (see Examiner.Examine).
// Attestation says what runs, never where: positions come from the directory.
//
// What it promises: evidence is bound to one identity and one nonce by report data = Hash("report data", id, timed key, nonce), so that
// neither another key's nor yesterday's evidence fits. Platforms are named one by one: the simulated platform is refused unless a
// policy names it, in the appraisal and again where the result is relied upon, and the result shows it. A result lives at most an
// hour.
//
// What an attacker may do: present any evidence and any result; own machines of its own with genuine evidence about the wrong
// software; replay. It is assumed not to hold the platform's root key, nor the appraiser's.
//
// A platform joins by implementing Attester and Verifier and by passing the conformance test in attesttest. "sim" is here: the
// project's own root key instead of a manufacturer's, with the same shape and the same rules. The others have a package each, so that
// who needs none of them does not link their libraries: tpm, snp and tdx.
package attest
