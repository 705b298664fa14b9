// Package tdx attests confidential virtual machines on Intel TDX: platform "tdx" of package attest.
//
// The processor's quoting enclave signs a quote with an attestation key, the enclave's own report vouches for that key, a certificate
// of the platform (PCK) signs that report, and Intel's root signs the certificate. Whether the platform is up to date is said by signed
// collateral: TCB info for the processor family and the identity of the quoting enclave. Parsing is go-tdx-guest's, and for quotes of
// version 4 the signatures and the comparison of security versions are, too. Its released version does not know version 5, whose signature
// is over other bytes and whose report may say more; for these the same checks stand here (five.go), held against the library's by a test.
// Which quotes are acceptable is decided here and in package attest.
//
// What it believes: Intel TDX DCAP Quoting Library API 0.9 (quote versions 4 and 5), PCS API v4, and Intel's root, which stands in this folder.
// Nothing is fetched: whoever runs an appraiser renews the collateral, and collateral past its date refuses. What it promises: the form
// is checked before the library parses (whose slices trust the sizes that stand in a quote), one encoding for each quote, only
// "UpToDate", the module is Intel's production module, and the 64 bytes of report data are ours to the last.
//
// What an attacker may do: own such machines, start them in debug mode and get perfectly good quotes. It is assumed not to have
// extracted an attestation key; revocation lists and TCB info are the answers where that has happened.
//
// Logs. Where the machine shows the firmware's event log (CCEL), it travels with the quote as digests, and must replay to the quoted
// runtime registers (RTMR). A program may extend the last register itself (Machine.Measure, Linux 6.16): the measurement then names the
// program, and the configuration stands beside it.
//
// Version 5. A report of TDX 1.5 tells the security versions of the module that runs now beside those at launch: the lower of each
// component counts, and Intel must call both up to date. Service domains that are bound to the machine are part of its measurement. Whoever
// runs the host chooses the version of a quote, and one of version 4 tells neither.
package tdx
