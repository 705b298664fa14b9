package snp

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-sev-guest/abi"
	"github.com/google/go-sev-guest/kds"
	spb "github.com/google/go-sev-guest/proto/sevsnp"
	"github.com/google/go-sev-guest/verify"
	"github.com/google/go-sev-guest/verify/trust"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// The refusals of this platform, beside those that all share.
var (
	ErrVerifier    = errors.New("SEV-SNP verifier is not well configured")
	ErrSigner      = errors.New("report is not signed by the chip's own key (VCEK)")
	ErrChip        = errors.New("report names no chip, or another than its certificate")
	ErrVersion     = errors.New("certificate is of another security version than the report")
	ErrVMPL        = errors.New("report was asked for at a less privileged level of the guest")
	ErrReportData  = errors.New("report data has more than 32 bytes of ours")
	ErrCertificate = errors.New("certificate does not follow AMD's profile")
)

// The product lines that AMD's key server knows and the library has roots of.
var Products = []string{"Milan", "Genoa", "Turin"}

// maxBody bounds the encoded evidence in bytes: a report of 1184 and one certificate.
const maxBody = 8 << 10

// body is the evidence of the platform.
type body struct {
	Version uint64 `cbor:"1,keyasint"`
	Report  []byte `cbor:"2,keyasint"` // ATTESTATION_REPORT
	VCEK    []byte `cbor:"3,keyasint"` // DER
}

// Root is AMD's chain for one product line.
type Root struct {
	Product string            // "Milan", "Genoa" or "Turin"
	ASK     *x509.Certificate // signs VCEKs
	ARK     *x509.Certificate // signs the ASK
}

// EmbeddedRoots returns the library's copies of AMD's roots for the given product lines.
func EmbeddedRoots(products ...string) ([]Root, error) {
	var out []Root
	for _, p := range products {
		r, err := trust.GetDefaultRootCerts(p)
		if err != nil || r.ProductCerts == nil {
			return nil, fmt.Errorf("%w: product %q; known: %v", ErrVerifier, p, Products)
		}
		out = append(out, Root{p, r.ProductCerts.Ask, r.ProductCerts.Ark})
	}
	return out, nil
}

// VerifierConfig configures a verifier.
type VerifierConfig struct {
	Roots   []Root      // at least one; see EmbeddedRoots
	CRLs    attest.CRLs // AMD's lists; they name intermediate keys (ASK), chips' certificates have no serial numbers of their own
	MaxVMPL uint32      // least privileged guest level to accept; 0 is the most privileged, and the default
}

// Verifier verifies SEV-SNP reports offline. Safe for concurrent use.
type Verifier struct {
	roots map[string][]*trust.AMDRootCerts
	list  []Root
	crls  attest.CRLs
	vmpl  uint32
}

// NewVerifier checks the configuration: ErrVerifier.
func NewVerifier(c VerifierConfig) (*Verifier, error) {
	v := &Verifier{roots: map[string][]*trust.AMDRootCerts{}, list: slices.Clone(c.Roots), crls: c.CRLs, vmpl: c.MaxVMPL}
	for _, r := range c.Roots {
		if !slices.Contains(Products, r.Product) || r.ASK == nil || r.ARK == nil {
			return nil, fmt.Errorf("%w: root of product %q needs both certificates; known products: %v", ErrVerifier, r.Product, Products)
		}
		v.roots[r.Product] = append(v.roots[r.Product], &trust.AMDRootCerts{ProductLine: r.Product,
			ProductCerts: &trust.ProductCerts{Ask: r.ASK, Ark: r.ARK}})
	}
	if len(v.roots) == 0 || c.MaxVMPL > 3 {
		return nil, fmt.Errorf("%w: %d roots (at least 1), VMPL %d (0 to 3)", ErrVerifier, len(v.roots), c.MaxVMPL)
	}
	return v, nil
}

// Platform returns attest.SEVSNP.
func (v *Verifier) Platform() attest.Platform { return attest.SEVSNP }

// Verify checks a body. In this order, each with its own error:
//
//	attest.ErrEvidence   size, canonical encoding, the report's form, nothing after the signature; attest.ErrVersion
//	ErrSigner            the report says that the chip's own key signed it
//	attest.ErrWrongRoot  the key's certificate leads to a configured root of its product
//	attest.ErrCollateralExpired  at a time when all certificates hold
//	attest.ErrCertificateRevoked  and AMD has not revoked the intermediate key; attest.ErrNoCRL, attest.ErrCRL
//	attest.ErrReportSignature  the report is signed by that key
//	ErrCertificate       whose certificate follows AMD's profile
//	ErrChip              and is of the chip that the report names
//	ErrVersion           at the security version that the report names
//	ErrVMPL              asked for by the guest's most privileged part
//	ErrReportData        over 32 bytes of ours and zeros
func (v *Verifier) Verify(encoded []byte, nowUnixNS int64) (attest.Claims, error) {
	f, err := v.Examine(encoded, nowUnixNS)
	return f.Claims, err
}

// Findings is what a verified report says, in more detail than other platforms share.
type Findings struct {
	Claims  attest.Claims
	Product string // product line
	Report  *spb.Report
}

// Examine is Verify with more detail, for showing.
func (v *Verifier) Examine(encoded []byte, nowUnixNS int64) (Findings, error) {
	b, report, err := decode(encoded)
	if err != nil {
		return Findings{}, err
	}
	signer, err := abi.ParseSignerInfo(report.SignerInfo)
	if err != nil || signer.SigningKey != abi.VcekReportSigner {
		return Findings{}, ErrSigner
	}
	vcek, err := x509.ParseCertificate(b.VCEK)
	if err != nil || !bytes.Equal(vcek.Raw, b.VCEK) {
		return Findings{}, fmt.Errorf("%w: VCEK certificate: %w", attest.ErrEvidence, err)
	}
	product, err := v.checkChain(vcek, time.Unix(0, nowUnixNS))
	if err != nil {
		return Findings{}, err
	}
	if err := verify.SnpProtoReportSignature(report, vcek); err != nil {
		return Findings{}, fmt.Errorf("%w: %w", attest.ErrReportSignature, err)
	}
	if err := v.checkProfile(report, b.VCEK, time.Unix(0, nowUnixNS)); err != nil {
		return Findings{}, err
	}
	if err := v.checkReport(report, vcek, signer); err != nil {
		return Findings{}, err
	}
	claims, err := claimsOf(report)
	claims.Credentials = [][32]byte{attest.Credential(b.VCEK)}
	return Findings{Claims: claims, Product: product, Report: report}, err
}

func decode(encoded []byte) (body, *spb.Report, error) {
	var b body
	if err := canon.Unmarshal(encoded, &b, maxBody); err != nil {
		return body{}, nil, fmt.Errorf("%w: %w", attest.ErrEvidence, err)
	}
	if b.Version != attest.Version {
		return body{}, nil, fmt.Errorf("sev-snp body: %w %d, want %d", attest.ErrVersion, b.Version, attest.Version)
	}
	if len(b.Report) != abi.ReportSize {
		return body{}, nil, fmt.Errorf("%w: report of %d bytes, want %d", attest.ErrEvidence, len(b.Report), abi.ReportSize)
	}
	report, err := abi.ReportToProto(b.Report)
	if err != nil {
		return body{}, nil, fmt.Errorf("%w: %w", attest.ErrEvidence, err)
	}
	// R and S take 72 bytes each; the rest of the signature's field is not covered by anything and must be zero.
	if again, err := abi.ReportToAbiBytes(report); err != nil || !bytes.Equal(again, b.Report) || !allZero(report.Signature[144:]) {
		return body{}, nil, fmt.Errorf("%w: report has another encoding", attest.ErrEvidence)
	}
	return b, report, nil
}

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// checkChain finds the root and says which product line it is of.
func (v *Verifier) checkChain(vcek *x509.Certificate, now time.Time) (string, error) {
	var last error
	for _, r := range v.list {
		chain := []*x509.Certificate{vcek, r.ASK, r.ARK}
		if vcek.CheckSignatureFrom(r.ASK) != nil || r.ASK.CheckSignatureFrom(r.ARK) != nil {
			continue
		}
		for _, c := range chain {
			if now.Before(c.NotBefore) || now.After(c.NotAfter) {
				last = fmt.Errorf("AMD certificate: %w", attest.ErrCollateralExpired)
			}
		}
		if last == nil {
			last = v.crls.Check(chain[1:], now)
		}
		return r.Product, last
	}
	return "", fmt.Errorf("sev-snp: %w: no configured product root signed %q", attest.ErrWrongRoot, vcek.Issuer.CommonName)
}

// checkProfile lets the library hold the certificate against AMD's profile and repeat the chain and signature its own way.
func (v *Verifier) checkProfile(report *spb.Report, vcek []byte, now time.Time) error {
	err := verify.SnpAttestationContext(context.Background(), &spb.Attestation{Report: report, CertificateChain: &spb.CertificateChain{VcekCert: vcek}},
		&verify.Options{DisableCertFetching: true, Now: now, TrustedRoots: v.roots})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	return nil
}

func (v *Verifier) checkReport(report *spb.Report, vcek *x509.Certificate, signer abi.SignerInfo) error {
	extensions, err := kds.VcekCertificateExtensions(vcek)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrCertificate, err)
	case signer.MaskChipKey || allZero(report.ChipId):
		return fmt.Errorf("%w: masked by the host", ErrChip)
	case !bytes.Equal(extensions.HWID, report.ChipId):
		return ErrChip
	case uint64(extensions.TCBVersion) != report.ReportedTcb:
		return fmt.Errorf("%w: %016x, report %016x", ErrVersion, uint64(extensions.TCBVersion), report.ReportedTcb)
	case report.Vmpl > v.vmpl:
		return fmt.Errorf("%w: VMPL %d, at most %d", ErrVMPL, report.Vmpl, v.vmpl)
	case !allZero(report.ReportData[32:]):
		return ErrReportData
	}
	return nil
}

func claimsOf(report *spb.Report) (attest.Claims, error) {
	policy, err := abi.ParseSnpPolicy(report.Policy)
	if err != nil {
		return attest.Claims{}, fmt.Errorf("%w: %w", attest.ErrEvidence, err)
	}
	return attest.Claims{
		ReportData:  [32]byte(report.ReportData[:32]),
		Measurement: bytes.Clone(report.Measurement),
		Debug:       policy.Debug,
		Migratable:  policy.MigrateMA,
		TCB:         lowest(report.ReportedTcb, report.CommittedTcb),
		Machine:     identity.Hash("sev-snp machine", report.ChipId),
	}, nil
}

// lowest takes the smaller of each of the eight components: what the owner may roll back to counts, not what runs today.
func lowest(a, b uint64) uint64 {
	var out uint64
	for shift := 0; shift < 64; shift += 8 {
		out |= uint64(min(byte(a>>shift), byte(b>>shift))) << shift
	}
	return out
}

// Encode makes a body from a report and its certificate, for evidence that was collected elsewhere.
func Encode(report, vcek []byte) ([]byte, error) {
	return canon.Marshal(body{attest.Version, report, vcek})
}
