package tpm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// The refusals of keys by what they are.
var (
	ErrAKAttributes = errors.New("attestation key is not a restricted signing key made by the TPM")
	ErrAKAlgorithm  = errors.New("attestation key is not ECDSA P-256 with SHA-256")
	ErrEKAttributes = errors.New("endorsement key is not a restricted decryption key fixed to its TPM")
	ErrEKMismatch   = errors.New("endorsement key is not the one of its certificate")
	ErrEKUsage      = errors.New("certificate is not one of an endorsement key")
)

// akTemplate makes the attestation key: a primary key of the endorsement hierarchy, so that the TPM derives the same key again after
// every boot and reports its reset counters and firmware version in the clear.
func akTemplate() tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type:    tpm2.TPMAlgECC,
		NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true,
			Restricted: true, SignEncrypt: true},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Scheme: tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgECDSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256})},
			CurveID: tpm2.TPMECCNistP256,
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
			X: tpm2.TPM2BECCParameter{Buffer: []byte("ursa/1 attestation key")},
		}),
	}
}

// attestationKey is what a public area says about an AK.
type attestationKey struct {
	key        *ecdsa.PublicKey
	migratable bool // could be moved to another TPM
}

// parseAK checks algorithm and attributes: ErrAKAlgorithm, ErrAKAttributes. Whether the key is fixed to its TPM is reported, so that
// the rule for all platforms can name it.
func parseAK(public []byte) (attestationKey, error) {
	p, err := parsePublic(public)
	if err != nil {
		return attestationKey{}, err
	}
	if p.Type != tpm2.TPMAlgECC || p.NameAlg != tpm2.TPMAlgSHA256 {
		return attestationKey{}, ErrAKAlgorithm
	}
	parms, err := p.Parameters.ECCDetail()
	if err != nil {
		return attestationKey{}, fmt.Errorf("%w: %w", ErrAKAlgorithm, err)
	}
	scheme, err := parms.Scheme.Details.ECDSA()
	if err != nil || parms.Scheme.Scheme != tpm2.TPMAlgECDSA || scheme.HashAlg != tpm2.TPMAlgSHA256 || parms.CurveID != tpm2.TPMECCNistP256 {
		return attestationKey{}, ErrAKAlgorithm
	}
	a := p.ObjectAttributes
	if !a.Restricted || !a.SignEncrypt || a.Decrypt || !a.SensitiveDataOrigin {
		return attestationKey{}, fmt.Errorf("%w: restricted %t, sign %t, decrypt %t, made inside %t", ErrAKAttributes, a.Restricted, a.SignEncrypt,
			a.Decrypt, a.SensitiveDataOrigin)
	}
	key, err := tpm2.Pub(*p)
	if err != nil {
		return attestationKey{}, fmt.Errorf("%w: %w", ErrAKAlgorithm, err)
	}
	ec, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return attestationKey{}, ErrAKAlgorithm
	}
	if _, err := ec.ECDH(); err != nil { // the point is on the curve
		return attestationKey{}, fmt.Errorf("%w: %w", ErrAKAlgorithm, err)
	}
	return attestationKey{key: ec, migratable: !a.FixedTPM || !a.FixedParent}, nil
}

// checkEK holds an endorsement key's public area against its certificate: ErrEKAttributes, ErrEKMismatch.
func checkEK(public []byte, cert *x509.Certificate) (*tpm2.TPMTPublic, error) {
	p, err := parsePublic(public)
	if err != nil {
		return nil, err
	}
	a := p.ObjectAttributes
	if !a.Restricted || !a.Decrypt || a.SignEncrypt || !a.FixedTPM || !a.FixedParent {
		return nil, ErrEKAttributes
	}
	key, err := tpm2.Pub(*p)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEKMismatch, err)
	}
	same, ok := cert.PublicKey.(interface{ Equal(x crypto.PublicKey) bool })
	if !ok || !same.Equal(key) {
		return nil, ErrEKMismatch
	}
	return p, nil
}
