package tpm

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"time"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// Endorsement is how manufacturers are believed: their roots and, where they publish any, revocation lists.
type Endorsement struct {
	Roots []*x509.Certificate
	CRLs  attest.CRLs
}

// Object identifiers of the TCG EK credential profile, §3.2.
var (
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidEKCertificate  = asn1.ObjectIdentifier{2, 23, 133, 8, 1}
)

// maxChain bounds the certificates that are looked at.
const maxChain = 5

// parseChain reads DER certificates, leaf first.
func parseChain(chain [][]byte) ([]*x509.Certificate, error) {
	if len(chain) == 0 || len(chain) > maxChain {
		return nil, fmt.Errorf("%w: %d certificates, want 1 to %d", attest.ErrEvidence, len(chain), maxChain)
	}
	out := make([]*x509.Certificate, len(chain))
	for i, der := range chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%w: certificate %d: %w", attest.ErrEvidence, i, err)
		}
		out[i] = c
	}
	return out, nil
}

// verify checks an EK's chain at a time: attest.ErrWrongRoot, attest.ErrCollateralExpired, ErrEKUsage and the errors of the
// revocation lists.
func (e Endorsement) verify(chain []*x509.Certificate, now time.Time) error {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, r := range e.Roots {
		roots.AddCert(r)
	}
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	leaf := *chain[0]
	// The TCG profile names the TPM's model in a critical alternative name of a form that crypto/x509 does not know.
	leaf.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(leaf.UnhandledCriticalExtensions), oidSubjectAltName.Equal)
	if len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 && !slices.ContainsFunc(leaf.UnknownExtKeyUsage, oidEKCertificate.Equal) {
		return ErrEKUsage
	}
	for _, c := range chain {
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return fmt.Errorf("endorsement certificate: %w", attest.ErrCollateralExpired)
		}
	}
	found, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil && len(chain) == 1 {
		return fmt.Errorf("endorsement key: %w: %w, and no certificate between the two was given", attest.ErrWrongRoot, err)
	}
	if err != nil {
		return fmt.Errorf("endorsement key: %w: %w", attest.ErrWrongRoot, err)
	}
	return e.CRLs.Check(found[0], now)
}

// machineOf names the machine by its endorsement key, so that a renewed certificate does not make another machine of it.
func machineOf(leaf *x509.Certificate) [32]byte {
	return identity.Hash("tpm machine", leaf.RawSubjectPublicKeyInfo)
}

// credentials names certificates as revocation lists do.
func credentials(chain [][]byte) [][32]byte {
	var out [][32]byte
	for _, der := range chain {
		out = append(out, attest.Credential(der))
	}
	return out
}

// hashChain is what a Record remembers of the certificates.
func hashChain(chain [][]byte) [32]byte { return identity.Hash("endorsement chain", chain...) }
