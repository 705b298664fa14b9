// Package platforms makes the verifiers of every platform that a verified directory trusts: whoever has the directory, the core before
// it is timed or the service that appraises, needs no other configuration to examine evidence.
//
// What it believes: the directory's signers. Its attestation roots say which manufacturers count (for tpm the makers' root
// certificates, for sev-snp and tdx AMD's and Intel's, which must be listed to count), its appraisers whose TPM enrolments do.
//
// What it promises: a platform without a root in the directory has no verifier, so its evidence is refused. Roots that cannot be read
// are an error, never skipped. It reads no file and no clock; revocation lists and Intel's collateral are handed in.
package platforms

import (
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/beacon/attest/snp"
	"github.com/ursa-virtual/ursa/beacon/attest/tdx"
	"github.com/ursa-virtual/ursa/beacon/attest/tpm"
	"github.com/ursa-virtual/ursa/topology/directory"
)

// ErrRoot reports an attestation root of the directory that cannot be used.
var ErrRoot = errors.New("directory's attestation root cannot be used")

// Config is what a directory does not hold.
type Config struct {
	CRLs           attest.CRLs      // manufacturers' revocation lists
	Collateral     []tdx.Collateral // Intel's word about processors
	WithoutTCBInfo bool             // tdx: the policy's minimum security version decides alone
	History        *tpm.Clocks      // notices a TPM that was set back; nil: does not
}

// Verifiers returns a verifier for each platform that the directory has a root of, and for the pairs of a confidential machine with a
// TPM. ErrRoot, directory.ErrUnverified and the verifiers' own configuration errors.
func Verifiers(d *directory.Directory, c Config) ([]attest.Verifier, error) {
	if !d.Verified() {
		return nil, directory.ErrUnverified
	}
	roots := map[attest.Platform][]*x509.Certificate{}
	sim := false
	for _, r := range d.AttestRoots {
		p := attest.Platform(r.Platform)
		switch p {
		case attest.Sim:
			sim = true
		case attest.TPM, attest.SEVSNP, attest.TDX:
			cert, err := x509.ParseCertificate(r.Key)
			if err != nil {
				return nil, fmt.Errorf("%w: %s: %w", ErrRoot, p, err)
			}
			roots[p] = append(roots[p], cert)
		default:
			return nil, fmt.Errorf("%w: platform %q is unknown here", ErrRoot, r.Platform)
		}
	}
	var out []attest.Verifier
	if sim {
		v, err := attest.SimVerifierOf(d)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return hardware(out, d, roots, c)
}

// hardware appends the verifiers of real machines.
func hardware(out []attest.Verifier, d *directory.Directory, roots map[attest.Platform][]*x509.Certificate, c Config) ([]attest.Verifier, error) {
	var hosts []attest.Verifier
	if list := roots[attest.SEVSNP]; len(list) > 0 {
		amd, err := amdRoots(list)
		if err != nil {
			return nil, err
		}
		v, err := snp.NewVerifier(snp.VerifierConfig{Roots: amd, CRLs: c.CRLs})
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, v)
	}
	if list := roots[attest.TDX]; len(list) > 0 {
		v, err := tdx.NewVerifier(tdx.VerifierConfig{Roots: list, CRLs: c.CRLs, Collateral: c.Collateral, WithoutTCBInfo: c.WithoutTCBInfo})
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, v)
	}
	out = append(out, hosts...)
	if list := roots[attest.TPM]; len(list) > 0 {
		v, err := tpm.NewVerifier(tpm.VerifierConfig{Enrollers: d.Appraisers, Endorsement: tpm.Endorsement{Roots: list, CRLs: c.CRLs}, History: c.History})
		if err != nil {
			return nil, err
		}
		out = append(out, v)
		for _, host := range hosts {
			out = append(out, attest.LinkedVerifier{Host: host, Guest: v})
		}
	}
	return out, nil
}

// amdRoots finds the product lines whose root keys are listed; the keys between are the library's copies.
func amdRoots(list []*x509.Certificate) ([]snp.Root, error) {
	all, err := snp.EmbeddedRoots(snp.Products...)
	if err != nil {
		return nil, err
	}
	var out []snp.Root
	for _, cert := range list {
		found := false
		for _, r := range all {
			if r.ARK.Equal(cert) {
				out, found = append(out, r), true
			}
		}
		if !found {
			return nil, fmt.Errorf("%w: sev-snp: %q is not one of AMD's root keys of %v", ErrRoot, cert.Subject.CommonName, snp.Products)
		}
	}
	return out, nil
}

// Endorsement is how TPMs are believed that come to be enrolled: by the makers that the directory lists. Roots that cannot be read are
// left out here; Verifiers reports them.
func Endorsement(d *directory.Directory, c Config) tpm.Endorsement {
	e := tpm.Endorsement{CRLs: c.CRLs}
	for _, r := range d.AttestRoots {
		if cert, err := x509.ParseCertificate(r.Key); err == nil && r.Platform == string(attest.TPM) {
			e.Roots = append(e.Roots, cert)
		}
	}
	return e
}
