package attest

import (
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// The refusals of a manufacturer's certificates.
var (
	ErrCollateralExpired  = errors.New("manufacturer's collateral has expired")
	ErrCertificateRevoked = errors.New("certificate is revoked by its issuer")
	ErrNoCRL              = errors.New("no revocation list of the certificate's issuer")
	ErrCRL                = errors.New("revocation list is not signed by the certificate's issuer")
)

// CRLs are the manufacturers' revocation lists that a verifier was configured with. Nothing is fetched: whoever runs an appraiser
// renews the files, and a list past its date refuses instead of being believed.
type CRLs struct {
	Lists    []*x509.RevocationList
	Required bool // refuse a certificate whose issuer has no list here
}

// Check holds a verified chain, leaf first and root last, against the lists at a time. Every certificate but the root is looked up
// in each list of its issuer. In this order: ErrNoCRL (if Required), ErrCRL, ErrCollateralExpired, ErrCertificateRevoked.
func (c CRLs) Check(chain []*x509.Certificate, now time.Time) error {
	for i := 0; i+1 < len(chain); i++ {
		if err := c.checkOne(chain[i], chain[i+1], now); err != nil {
			return fmt.Errorf("certificate %q: %w", clip(chain[i].Subject.String()), err)
		}
	}
	return nil
}

func (c CRLs) checkOne(cert, issuer *x509.Certificate, now time.Time) error {
	found := false
	for _, list := range c.Lists {
		if string(list.RawIssuer) != string(issuer.RawSubject) {
			continue
		}
		found = true
		switch {
		case list.CheckSignatureFrom(issuer) != nil:
			return ErrCRL
		case now.Before(list.ThisUpdate) || list.NextUpdate.IsZero() || now.After(list.NextUpdate):
			return fmt.Errorf("revocation list: %w", ErrCollateralExpired)
		case revokes(list, cert.SerialNumber):
			return ErrCertificateRevoked
		}
	}
	if !found && c.Required {
		return ErrNoCRL
	}
	return nil
}

func revokes(list *x509.RevocationList, serial *big.Int) bool {
	for _, e := range list.RevokedCertificateEntries {
		if e.SerialNumber != nil && e.SerialNumber.Cmp(serial) == 0 {
			return true
		}
	}
	return false
}
