// Package snp attests confidential virtual machines on AMD SEV-SNP: platform "sev-snp" of package attest.
//
// The firmware of the processor signs a report with a key derived from the chip and its security version (VCEK); AMD's key server
// issues that key's certificate, under a chain for each product line. Parsing and AMD's profile of certificates are go-sev-guest's;
// which reports are acceptable is decided here and in package attest.
//
// What it believes: AMD SEV-SNP Firmware ABI 1.56 (publication 56860) and AMD's roots, embedded in the library or configured. Nothing
// is fetched. What it promises, beyond a good signature: the certificate is the one of the reporting chip at the reported security
// version (the library does not look), the report was asked for at the most privileged level of the guest, it names its chip, and the
// 64 bytes of report data are ours to the last.
//
// What an attacker may do: own such machines, start them in debug mode or with an old firmware and get perfectly good signatures; hand
// in reports of a cloud provider's shared key (VLEK), which names no chip and is refused. It is assumed not to have extracted a VCEK:
// revocation lists and minimum security versions are the answers where that has happened.
package snp
