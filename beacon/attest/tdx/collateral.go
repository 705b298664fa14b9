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

// answers is a parsed Collateral: what is signed in it, and nothing else.
type answers struct {
	Collateral
	info     pcs.TcbInfo
	identity pcs.EnclaveIdentity
	signed   [2]signedAnswer     // TCB info, identity
	issuers  []*x509.Certificate // of each: the signing certificate, then the root
}

// signedAnswer is what one answer's signature covers, byte for byte.
type signedAnswer struct{ message, signature []byte }

// parseAnswer reads the object of that name and the signature beside it, and writes the answer again with nothing else in it: a file that
// says something twice must not mean one thing here and another to the library.
func parseAnswer(answer *[]byte, name string, into any) (s signedAnswer, err error) {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(*answer, &parts); err != nil {
		return s, err
	}
	if parts[name] == nil || parts["signature"] == nil {
		return s, fmt.Errorf("no %s, or no signature of it", name)
	}
	var signature pcs.HexBytes
	if err := json.Unmarshal(parts["signature"], &signature); err != nil {
		return s, fmt.Errorf("signature: %w", err)
	}
	*answer = fmt.Appendf(nil, `{%q:%s,"signature":"%x"}`, name, parts[name], signature.Bytes)
	return signedAnswer{parts[name], signature.Bytes}, json.Unmarshal(parts[name], into)
}

func parseCollateral(c Collateral) (answers, error) {
	a := answers{Collateral: c}
	var err error
	if a.signed[0], err = parseAnswer(&a.TCBInfo, "tcbInfo", &a.info); err != nil {
		return answers{}, fmt.Errorf("TCB info: %w", err)
	}
	if a.signed[1], err = parseAnswer(&a.QEIdentity, "enclaveIdentity", &a.identity); err != nil {
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
	if a.info.Fmspc == "" {
		return answers{}, errors.New("TCB info names no family of processors (fmspc)")
	}
	return a, nil
}

// Get implements the library's getter without a network: it knows two addresses.
func (a answers) Get(address string) (map[string][]string, []byte, error) {
	switch address {
	case pcs.TcbInfoURL(a.info.Fmspc):
		return map[string][]string{"Tcb-Info-Issuer-Chain": {url.QueryEscape(string(a.TCBInfoIssuers))}}, a.TCBInfo, nil
	case pcs.QeIdentityURL():
		return map[string][]string{"Sgx-Enclave-Identity-Issuer-Chain": {url.QueryEscape(string(a.QEIdentityIssuers))}}, a.QEIdentity, nil
	}
	return nil, nil, fmt.Errorf("%w: %s", ErrNoCollateral, address)
}

// check lets the library decide and, if it refuses, finds out for which reason.
func (a answers) check(q quote, extensions *pcs.PckExtensions, roots *x509.CertPool, now time.Time) error {
	if now.After(a.info.NextUpdate) || now.After(a.identity.NextUpdate) ||
		now.Before(a.info.IssueDate) || now.Before(a.identity.IssueDate) {
		return fmt.Errorf("TCB info: %w", attest.ErrCollateralExpired)
	}
	for _, c := range a.issuers {
		if now.Before(c.NotBefore) || now.After(c.NotAfter) {
			return fmt.Errorf("issuer of TCB info: %w", attest.ErrCollateralExpired)
		}
	}
	if q.version == 5 {
		return a.word(q, extensions, roots, now)
	}
	err := verify.TdxQuote(q.QuoteV4, &verify.Options{GetCollateral: true, Getter: a, Now: now, TrustedRoots: roots})
	if err == nil {
		return nil
	}
	if status := a.status(q.GetTdQuoteBody().GetTeeTcbSvn(), extensions); status != upToDate {
		return fmt.Errorf("%w: its word is %q", ErrTCBStatus, status)
	}
	return fmt.Errorf("%w: %w", ErrCollateral, err)
}

const upToDate = string(pcs.TcbComponentStatusUpToDate)

// status is Intel's word for a platform whose module has these security versions: that of the first level, in Intel's order, which it
// reaches in all components, "unknown" below all of them; then, if that is good, the word for the module, which has levels of its own from
// its version 1 on.
func (a answers) status(svn []byte, extensions *pcs.PckExtensions) string {
	start, word := 0, "unknown"
	if svn[1] > 0 {
		start = 2
	}
	for _, level := range a.info.TcbLevels {
		if reaches(extensions.TCB.CPUSvnComponents, level.Tcb.SgxTcbcomponents, 0) && extensions.TCB.PCESvn >= level.Tcb.Pcesvn &&
			reaches(svn, level.Tcb.TdxTcbcomponents, start) {
			word = string(level.TcbStatus)
			break
		}
	}
	if word != upToDate || svn[1] == 0 {
		return word
	}
	return isvStatus(a.moduleOf(svn[1]).TcbLevels, uint32(svn[0]))
}

// moduleOf finds what Intel says about a version of the module; empty when nothing.
func (a answers) moduleOf(version byte) pcs.TdxModuleIdentity {
	if version == 0 {
		m := a.info.TdxModule
		return pcs.TdxModuleIdentity{Mrsigner: m.Mrsigner, Attributes: m.Attributes, AttributesMask: m.AttributesMask}
	}
	id := fmt.Sprintf("TDX_%02x", version)
	for _, m := range a.info.TdxModuleIdentities {
		if strings.EqualFold(m.ID, id) {
			return m
		}
	}
	return pcs.TdxModuleIdentity{}
}

// isvStatus is the word for a module or enclave of that version: of the first level that it reaches.
func isvStatus(levels []pcs.TcbLevel, version uint32) string {
	for _, level := range levels {
		if version >= level.Tcb.Isvsvn {
			return string(level.TcbStatus)
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
