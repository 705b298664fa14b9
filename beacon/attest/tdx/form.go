package tdx

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/google/go-tdx-guest/abi"
	pb "github.com/google/go-tdx-guest/proto/tdx"

	"github.com/ursa-virtual/ursa/beacon/attest"
)

// ErrQuoteVersion reports a quote in another layout.
var ErrQuoteVersion = errors.New("only quotes of version 4 can be read")

// Where things stand in a quote of version 4; sizes in bytes, numbers little-endian (DCAP Quoting Library API, appendix A.3):
//
//	header 48 ‖ body 584 ‖ size u32 ‖ signature 64 ‖ attestation key 64 ‖ type 6 u16 ‖ size u32 ‖
//	QE report 384 ‖ signature 64 ‖ size u16 ‖ QE data ‖ type 5 u16 ‖ size u32 ‖ PEM: PCK, intermediate, root
const (
	bodyEnd    = 48 + 584
	signedAt   = bodyEnd + 4
	qeAt       = signedAt + 64 + 64 + 2 + 4
	qeSizeAt   = qeAt + 384 + 64
	maxQuote   = 16 << 10
	chainParts = 3
)

// trim cuts what the kernel's buffer has after the quote.
func trim(quote []byte) []byte {
	if len(quote) < signedAt {
		return quote
	}
	if n := signedAt + int64(binary.LittleEndian.Uint32(quote[bodyEnd:])); n < int64(len(quote)) {
		return quote[:n]
	}
	return quote
}

// checkForm walks the sizes, each of which must leave exactly what follows.
func checkForm(q []byte) error {
	if len(q) > maxQuote || len(q) < qeSizeAt+2 {
		return fmt.Errorf("%w: quote of %d bytes", attest.ErrEvidence, len(q))
	}
	if version := binary.LittleEndian.Uint16(q); version != 4 {
		return fmt.Errorf("%w, this one is of version %d", ErrQuoteVersion, version)
	}
	size16, size32 := binary.LittleEndian.Uint16, binary.LittleEndian.Uint32
	chainAt := qeSizeAt + 2 + int(size16(q[qeSizeAt:]))
	if len(q) < chainAt+6 {
		return fmt.Errorf("%w: quote is cut", attest.ErrEvidence)
	}
	for _, part := range []struct{ at, rest int }{{bodyEnd, signedAt}, {qeAt - 4, qeAt}, {chainAt + 2, chainAt + 6}} {
		if int64(size32(q[part.at:])) != int64(len(q)-part.rest) {
			return fmt.Errorf("%w: size at %d is wrong", attest.ErrEvidence, part.at)
		}
	}
	return nil
}

// quote is a parsed quote with its certificates, leaf first.
type quote struct {
	*pb.QuoteV4
	chain []*x509.Certificate
}

// parse reads a quote that has one encoding only.
func parse(q []byte) (quote, error) {
	if err := checkForm(q); err != nil {
		return quote{}, err
	}
	parsed, err := abi.QuoteToProto(q)
	if err != nil {
		return quote{}, fmt.Errorf("%w: %w", attest.ErrEvidence, err)
	}
	v4, ok := parsed.(*pb.QuoteV4)
	if !ok {
		return quote{}, ErrQuoteVersion
	}
	if again, err := abi.QuoteToAbiBytes(v4); err != nil || !bytes.Equal(again, q) {
		return quote{}, fmt.Errorf("%w: quote has another encoding", attest.ErrEvidence)
	}
	chain, err := parseChain(v4.GetSignedData().GetCertificationData().GetQeReportCertificationData().GetPckCertificateChainData().GetPckCertChain())
	return quote{v4, chain}, err
}

// parseChain reads three certificates in PEM as Intel's library writes them: nothing between them, at most a zero at the end.
func parseChain(text []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	var again bytes.Buffer
	for rest := text; len(out) < chainParts; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fmt.Errorf("%w: %d certificates, want %d", attest.ErrEvidence, len(out), chainParts)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: certificate %d: %w", attest.ErrEvidence, len(out), err)
		}
		_ = pem.Encode(&again, &pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes}) // a buffer takes everything
		out = append(out, c)
	}
	if !bytes.Equal(bytes.TrimSuffix(text, []byte{0}), again.Bytes()) {
		return nil, fmt.Errorf("%w: certificates have another encoding", attest.ErrEvidence)
	}
	return out, nil
}
