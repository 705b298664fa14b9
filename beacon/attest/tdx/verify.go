package tdx

import (
	"bytes"
	"crypto/x509"
	_ "embed"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-tdx-guest/pcs"
	pb "github.com/google/go-tdx-guest/proto/tdx"

	"github.com/ursa-virtual/ursa/beacon/attest"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// The refusals of this platform, beside those that all share.
var (
	ErrVerifier    = errors.New("TDX verifier is not well configured")
	ErrModule      = errors.New("TDX module is not Intel's production module")
	ErrReportData  = errors.New("report data has more than 32 bytes of ours")
	ErrCertificate = errors.New("platform certificate does not follow Intel's profile")
)

//go:embed intel_sgx_root_ca.pem
var intelRoot []byte

// IntelRoot returns Intel's SGX Root CA, SHA-256 fingerprint
// 44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3, valid until 2049.
func IntelRoot() (*x509.Certificate, error) {
	block, _ := pem.Decode(intelRoot)
	if block == nil {
		return nil, ErrVerifier
	}
	return x509.ParseCertificate(block.Bytes)
}

// maxBody bounds the encoded evidence in bytes.
const maxBody = attest.MaxEvidenceSize - 1024

// body is the evidence of the platform.
type body struct {
	Version uint64 `cbor:"1,keyasint"`
	Quote   []byte `cbor:"2,keyasint"`
	// The logs that replay to the runtime registers, where the machine has them.
	Firmware []Extend `cbor:"3,keyasint,omitempty"`
	Own      []Event  `cbor:"4,keyasint,omitempty"`
}

// VerifierConfig configures a verifier.
type VerifierConfig struct {
	Roots      []*x509.Certificate // at least one; see IntelRoot
	Collateral []Collateral        // one for each family of processors
	CRLs       attest.CRLs         // of Intel's root and of its platform CA
	// WithoutTCBInfo accepts platforms about which no collateral is configured: the policy's minimum security version then decides
	// alone, and Intel's word about microcode and quoting enclave is not heard.
	WithoutTCBInfo bool
	// NeedLog refuses evidence without event logs. Logs that are there must replay in any case.
	NeedLog bool
}

// Verifier verifies TDX quotes offline. Safe for concurrent use.
type Verifier struct {
	roots      []*x509.Certificate
	pool       *x509.CertPool
	collateral map[string]answers // by fmspc
	crls       attest.CRLs
	without    bool
	needLog    bool
}

// NewVerifier checks the configuration: ErrVerifier.
func NewVerifier(c VerifierConfig) (*Verifier, error) {
	v := &Verifier{roots: slices.Clone(c.Roots), pool: x509.NewCertPool(), collateral: map[string]answers{}, crls: c.CRLs, without: c.WithoutTCBInfo, needLog: c.NeedLog}
	for _, r := range c.Roots {
		v.pool.AddCert(r)
	}
	for i, x := range c.Collateral {
		a, err := parseCollateral(x)
		if err != nil {
			return nil, fmt.Errorf("%w: collateral %d: %w", ErrVerifier, i, err)
		}
		if _, twice := v.collateral[a.info.Fmspc]; twice {
			return nil, fmt.Errorf("%w: two collaterals for family %s", ErrVerifier, a.info.Fmspc)
		}
		v.collateral[a.info.Fmspc] = a
	}
	if len(v.roots) == 0 {
		return nil, fmt.Errorf("%w: no root", ErrVerifier)
	}
	return v, nil
}

// Platform returns attest.TDX.
func (v *Verifier) Platform() attest.Platform { return attest.TDX }

// Verify checks a body. In this order, each with its own error:
//
//	attest.ErrEvidence   size, canonical encoding, the quote's form; attest.ErrVersion, ErrQuoteVersion
//	attest.ErrWrongRoot  the platform's certificates lead to a configured root
//	attest.ErrCollateralExpired  at a time when all of them hold
//	attest.ErrCertificateRevoked  and none is revoked; attest.ErrNoCRL, attest.ErrCRL
//	ErrCertificate       they follow Intel's profile
//	attest.ErrReportSignature  the quoting enclave's report and the quote are signed
//	ErrModule            the module is Intel's, of production
//	ErrNoCollateral      there is TCB info for the platform
//	attest.ErrCollateralExpired  which has not expired
//	ErrTCBStatus         calls it up to date
//	ErrCollateral        and is signed by Intel, as is the quoting enclave's identity
//	ErrReportData        report data is 32 bytes of ours and zeros
//	ErrNoLog             event logs are there, if they must be
//	ErrLogTooLong, ErrLogReplay  and replay to the quoted runtime registers
//	ErrOwnLog            our own events name one program, and one configuration or none
func (v *Verifier) Verify(encoded []byte, nowUnixNS int64) (attest.Claims, error) {
	f, err := v.Examine(encoded, nowUnixNS)
	return f.Claims, err
}

// Findings is what a verified quote says, in more detail than other platforms share.
type Findings struct {
	Claims attest.Claims
	FMSPC  string // family of processors
	Body   *pb.TDQuoteBody
}

// Examine is Verify with more detail, for showing.
func (v *Verifier) Examine(encoded []byte, nowUnixNS int64) (Findings, error) {
	var b body
	if err := canon.Unmarshal(encoded, &b, maxBody); err != nil {
		return Findings{}, fmt.Errorf("%w: %w", attest.ErrEvidence, err)
	}
	if b.Version != attest.Version {
		return Findings{}, fmt.Errorf("tdx body: %w %d, want %d", attest.ErrVersion, b.Version, attest.Version)
	}
	q, err := parse(b.Quote)
	if err != nil {
		return Findings{}, err
	}
	now := time.Unix(0, nowUnixNS)
	if err := v.checkChain(q.chain, now); err != nil {
		return Findings{}, err
	}
	extensions, err := pcs.PckCertificateExtensions(q.chain[0])
	if err != nil {
		return Findings{}, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	if err := v.checkSignatures(q, now); err != nil {
		return Findings{}, fmt.Errorf("%w: %w", attest.ErrReportSignature, err)
	}
	td := q.GetTdQuoteBody()
	if !allZero(td.GetMrSignerSeam()) || !allZero(td.GetSeamAttributes()) {
		return Findings{}, ErrModule
	}
	if err := v.checkCollateral(q, extensions, now); err != nil {
		return Findings{}, err
	}
	if !allZero(td.GetReportData()[32:]) {
		return Findings{}, ErrReportData
	}
	if err := b.checkLogs(td, v.needLog); err != nil {
		return Findings{}, err
	}
	claims := q.claims(extensions.PPID)
	if err := b.claim(&claims, q); err != nil {
		return Findings{}, err
	}
	for _, c := range q.chain[:chainParts-1] {
		claims.Credentials = append(claims.Credentials, attest.Credential(c.Raw))
	}
	return Findings{Claims: claims, FMSPC: extensions.FMSPC, Body: td}, nil
}

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// names of Intel's certificates, leaf first.
var names = [chainParts]string{"Intel SGX PCK Certificate", "Intel SGX PCK Platform CA", "Intel SGX Root CA"}

func (v *Verifier) checkChain(chain []*x509.Certificate, now time.Time) error {
	if !slices.ContainsFunc(v.roots, chain[chainParts-1].Equal) {
		return fmt.Errorf("tdx: %w: %q", attest.ErrWrongRoot, chain[chainParts-1].Subject.CommonName)
	}
	for i, c := range chain {
		if i+1 < chainParts && c.CheckSignatureFrom(chain[i+1]) != nil {
			return fmt.Errorf("tdx: %w: %q is not signed by the one above it", attest.ErrWrongRoot, c.Subject.CommonName)
		}
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return fmt.Errorf("platform certificate: %w", attest.ErrCollateralExpired)
		}
	}
	if err := v.crls.Check(chain, now); err != nil {
		return err
	}
	for i, c := range chain {
		if c.Subject.CommonName != names[i] {
			return fmt.Errorf("%w: %q, want %q", ErrCertificate, c.Subject.CommonName, names[i])
		}
	}
	return nil
}

func (v *Verifier) checkCollateral(q quote, extensions *pcs.PckExtensions, now time.Time) error {
	a, ok := v.collateral[extensions.FMSPC]
	switch {
	case !ok && v.without:
		return nil
	case !ok:
		return fmt.Errorf("%w: %s", ErrNoCollateral, extensions.FMSPC)
	}
	if err := a.check(q, extensions, v.pool, now); err != nil {
		return err
	}
	return v.crls.Check(a.issuers[:2], now)
}

// The bits of TD attributes (Intel TDX Module Base Architecture Specification, table "TD attributes").
const (
	attributesDebug      = 0xff    // bits 0 to 7 put the machine under debug; any of them
	attributesMigratable = 1 << 29 // the machine may be moved
)

// claims reads a verified quote. The measurement covers what was loaded (MRTD), what the owner configured, the runtime registers, which
// carry firmware, boot loader and kernel, and the service domains, where there are any: without, quotes of both versions measure alike.
func (q quote) claims(ppid string) attest.Claims {
	td := q.GetTdQuoteBody()
	attributes := binary.LittleEndian.Uint64(td.GetTdAttributes())
	measurement := identity.Hash("tdx measurement", q.measured(registers)...)
	return attest.Claims{
		ReportData:  [32]byte(td.GetReportData()[:32]),
		Measurement: measurement[:],
		Debug:       attributes&attributesDebug != 0,
		Migratable:  attributes&attributesMigratable != 0,
		TCB:         q.tcb(),
		Machine:     identity.Hash("tdx machine", []byte(ppid)),
	}
}

// measured are the parts of the measurement, with so many of the runtime registers.
func (q quote) measured(registers int) [][]byte {
	td := q.GetTdQuoteBody()
	parts := append([][]byte{td.GetMrTd(), td.GetMrConfigId(), td.GetMrOwner(), td.GetMrOwnerConfig()}, td.GetRtmrs()[:registers]...)
	if q.service != nil {
		parts = append(parts, q.service)
	}
	return parts
}

// tcb is the security version, components 0 to 7 (the others are reserved): of the module at launch and of the one that runs now, the
// lower of each component counts.
func (q quote) tcb() uint64 {
	lower := bytes.Clone(q.GetTdQuoteBody().GetTeeTcbSvn()[:8])
	if q.now != nil {
		for i := range lower {
			lower[i] = min(lower[i], q.now[i])
		}
	}
	return binary.LittleEndian.Uint64(lower)
}

// Encode makes a body from a quote, for evidence that was collected elsewhere. Bytes after the quote are cut.
func Encode(quote []byte) ([]byte, error) {
	return canon.Marshal(body{Version: attest.Version, Quote: trim(quote)})
}
