package tdx

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"crypto/x509"

	"github.com/google/go-tdx-guest/pcs"
	"github.com/google/go-tdx-guest/verify"

	"github.com/ursa-virtual/ursa/beacon/attest"
)

// The refusals by Intel's word about the platform.
var (
	ErrNoCollateral = errors.New("no TCB info for this family of processors is configured")
	ErrCollateral   = errors.New("TCB info or quoting enclave identity does not verify")
	ErrTCBStatus    = errors.New("platform is not called up to date by Intel")
)

// Collateral is what Intel's provisioning service says about one family of processors: the two answers as served, and the issuer chains
// that come in their headers, in PEM: signing certificate, then root.
type Collateral struct {
	TCBInfo           []byte // /tdx/certification/v4/tcb?fmspc=…
	TCBInfoIssuers    []byte // header TCB-Info-Issuer-Chain
	QEIdentity        []byte // /tdx/certification/v4/qe/identity
	QEIdentityIssuers []byte // header SGX-Enclave-Identity-Issuer-Chain
}

// answers is a parsed Collateral.
type answers struct {
	Collateral
	info     pcs.TdxTcbInfo
	identity pcs.QeIdentity
	issuers  []*x509.Certificate
}

func parseCollateral(c Collateral) (answers, error) {
	a := answers{Collateral: c}
	if err := json.Unmarshal(c.TCBInfo, &a.info); err != nil {
		return answers{}, fmt.Errorf("TCB info: %w", err)
	}
	if err := json.Unmarshal(c.QEIdentity, &a.identity); err != nil {
		return answers{}, fmt.Errorf("quoting enclave identity: %w", err)
	}
	for _, text := range [][]byte{c.TCBInfoIssuers, c.QEIdentityIssuers} {
		n := 0
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return answers{}, fmt.Errorf("issuer: %w", err)
			}
			a.issuers = append(a.issuers, cert)
			n++
		}
		if n != 2 {
			return answers{}, fmt.Errorf("issuers: %d certificates, want the signing one and the root", n)
		}
	}
	if a.info.TcbInfo.Fmspc == "" {
		return answers{}, errors.New("TCB info names no family of processors (fmspc)")
	}
	return a, nil
}

// Get implements the library's getter without a network: it knows two addresses.
func (a answers) Get(address string) (map[string][]string, []byte, error) {
	switch address {
	case pcs.TcbInfoURL(a.info.TcbInfo.Fmspc):
		return map[string][]string{"Tcb-Info-Issuer-Chain": {url.QueryEscape(string(a.TCBInfoIssuers))}}, a.TCBInfo, nil
	case pcs.QeIdentityURL():
		return map[string][]string{"Sgx-Enclave-Identity-Issuer-Chain": {url.QueryEscape(string(a.QEIdentityIssuers))}}, a.QEIdentity, nil
	}
	return nil, nil, fmt.Errorf("%w: %s", ErrNoCollateral, address)
}

// check lets the library decide and, if it refuses, finds out for which reason.
func (a answers) check(q quote, extensions *pcs.PckExtensions, roots *x509.CertPool, now time.Time) error {
	if now.After(a.info.TcbInfo.NextUpdate) || now.After(a.identity.EnclaveIdentity.NextUpdate) ||
		now.Before(a.info.TcbInfo.IssueDate) || now.Before(a.identity.EnclaveIdentity.IssueDate) {
		return fmt.Errorf("TCB info: %w", attest.ErrCollateralExpired)
	}
	for _, c := range a.issuers {
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return fmt.Errorf("issuer of TCB info: %w", attest.ErrCollateralExpired)
		}
	}
	err := verify.TdxQuote(q.QuoteV4, &verify.Options{GetCollateral: true, Getter: a, Now: now, TrustedRoots: roots})
	if err == nil {
		return nil
	}
	if status := a.status(q, extensions); status != upToDate {
		return fmt.Errorf("%w: its word is %q", ErrTCBStatus, status)
	}
	return fmt.Errorf("%w: %w", ErrCollateral, err)
}

const upToDate = string(pcs.TcbComponentStatusUpToDate)

// status finds the word for the platform: that of the first level, in Intel's order, which it reaches in all components; "unknown"
// below all of them. It names a refusal that the library made, and decides nothing.
func (a answers) status(q quote, extensions *pcs.PckExtensions) string {
	svn := q.GetTdQuoteBody().GetTeeTcbSvn()
	for _, level := range a.info.TcbInfo.TcbLevels {
		start := 0
		if svn[1] > 0 { // the module's own levels count then
			start = 2
		}
		if reaches(extensions.TCB.CPUSvnComponents, level.Tcb.SgxTcbcomponents, 0) && extensions.TCB.PCESvn >= level.Tcb.Pcesvn &&
			reaches(svn, level.Tcb.TdxTcbcomponents, start) {
			return strings.TrimSpace(string(level.TcbStatus))
		}
	}
	return "unknown"
}

func reaches(have []byte, want []pcs.TcbComponent, start int) bool {
	if len(have) != len(want) {
		return false
	}
	for i := start; i < len(have); i++ {
		if have[i] < want[i].Svn {
			return false
		}
	}
	return true
}
