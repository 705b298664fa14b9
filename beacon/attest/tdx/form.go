package tdx

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tdx-guest/abi"
	pb "github.com/google/go-tdx-guest/proto/tdx"

	"github.com/ursa-virtual/ursa/beacon/attest"
)

// ErrQuoteVersion reports a quote in another layout.
var ErrQuoteVersion = errors.New("only quotes of version 4 and 5 over a TDX 1.0 or 1.5 report can be read")

// Where things stand in a quote; sizes in bytes, numbers little-endian (DCAP Quoting Library API, appendix A.3 and A.4):
//
//	version 4: header 48 ‖ body 584 ‖ …
//	version 5: header 48 ‖ body's type u16 ‖ its size u32 ‖ body ‖ …
//	both: … size u32 ‖ signature 64 ‖ attestation key 64 ‖ type 6 u16 ‖ size u32 ‖
//	QE report 384 ‖ signature 64 ‖ size u16 ‖ QE data ‖ type 5 u16 ‖ size u32 ‖ PEM: PCK, intermediate, root
//
// The signature covers all that stands before its size. Bodies of type 2 are those of version 4 (TDX 1.0); type 3 (TDX 1.5) appends 16
// bytes of security versions and the 48 bytes of the measurement of service domains.
const (
	headerSize     = 48
	descriptorSize = 2 + 4
	bodySize       = 584
	extraSize      = 16 + 48
	qeSizeAfter    = 4 + 64 + 64 + 2 + 4 + 384 + 64 // the end of the body
	maxQuote       = 16 << 10
	chainParts     = 3
	typeTDX10      = 2
	typeTDX15      = 3
)

// bodyEnd finds where the body of a quote ends; ErrQuoteVersion, attest.ErrEvidence when it is cut before.
func bodyEnd(q []byte) (end int, err error) {
	if len(q) < headerSize+descriptorSize {
		return 0, fmt.Errorf("%w: quote of %d bytes", attest.ErrEvidence, len(q))
	}
	switch version := binary.LittleEndian.Uint16(q); version {
	case 4:
		end = headerSize + bodySize
	case 5:
		kind, size := binary.LittleEndian.Uint16(q[headerSize:]), binary.LittleEndian.Uint32(q[headerSize+2:])
		if kind != typeTDX10 && kind != typeTDX15 {
			return 0, fmt.Errorf("%w, this one's report is of type %d", ErrQuoteVersion, kind)
		}
		end = headerSize + descriptorSize + bodySize
		if kind == typeTDX15 {
			end += extraSize
		}
		if int64(size) != int64(end-headerSize-descriptorSize) {
			return 0, fmt.Errorf("%w: report of type %d with %d bytes", attest.ErrEvidence, kind, size)
		}
	default:
		return 0, fmt.Errorf("%w, this one is of version %d", ErrQuoteVersion, version)
	}
	if len(q) < end+4 {
		return 0, fmt.Errorf("%w: quote of %d bytes", attest.ErrEvidence, len(q))
	}
	return end, nil
}

// trim cuts what the kernel's buffer has after the quote.
func trim(quote []byte) []byte {
	end, err := bodyEnd(quote)
	if err != nil {
		return quote
	}
	if n := int64(end) + 4 + int64(binary.LittleEndian.Uint32(quote[end:])); n < int64(len(quote)) {
		return quote[:n]
	}
	return quote
}

// checkForm walks the sizes, each of which must leave exactly what follows, and returns where the body ends.
func checkForm(q []byte) (end int, err error) {
	if end, err = bodyEnd(q); err != nil {
		return 0, err
	}
	qeSizeAt := end + qeSizeAfter
	if len(q) > maxQuote || len(q) < qeSizeAt+2 {
		return 0, fmt.Errorf("%w: quote of %d bytes", attest.ErrEvidence, len(q))
	}
	size16, size32 := binary.LittleEndian.Uint16, binary.LittleEndian.Uint32
	chainAt := qeSizeAt + 2 + int(size16(q[qeSizeAt:]))
	if len(q) < chainAt+6 {
		return 0, fmt.Errorf("%w: quote is cut", attest.ErrEvidence)
	}
	qeAt := qeSizeAt - 64 - 384
	for _, part := range []struct{ at, rest int }{{end, end + 4}, {qeAt - 4, qeAt}, {chainAt + 2, chainAt + 6}} {
		if int64(size32(q[part.at:])) != int64(len(q)-part.rest) {
			return 0, fmt.Errorf("%w: size at %d is wrong", attest.ErrEvidence, part.at)
		}
	}
	return end, nil
}

// quote is a parsed quote with its certificates, leaf first. One of version 5 stands here in the form of version 4, which has a place
// for all but the end of a TDX 1.5 report; only its signature is over other bytes.
type quote struct {
	*pb.QuoteV4
	chain   []*x509.Certificate
	version uint16
	signed  []byte // what the attestation key signed
	now     []byte // security versions of the module that runs now, where the report tells them apart from those at launch; nil: it does not
	service []byte // measurement of the service domains that are bound to the machine; nil: none
}

// parse reads a quote that has one encoding only.
func parse(q []byte) (quote, error) {
	end, err := checkForm(q)
	if err != nil {
		return quote{}, err
	}
	out := quote{version: binary.LittleEndian.Uint16(q), signed: q[:end]}
	four := q
	if out.version == 5 {
		body := q[headerSize+descriptorSize : end]
		four = slices.Concat([]byte{4, 0}, q[2:headerSize], body[:bodySize], q[end:])
		if extra := body[bodySize:]; len(extra) > 0 {
			out.now, out.service = told(extra[:16]), told(extra[16:])
		}
	}
	parsed, err := abi.QuoteToProto(four)
	if err != nil {
		return quote{}, fmt.Errorf("%w: %w", attest.ErrEvidence, err)
	}
	var ok bool
	if out.QuoteV4, ok = parsed.(*pb.QuoteV4); !ok {
		return quote{}, ErrQuoteVersion
	}
	if again, err := abi.QuoteToAbiBytes(out.QuoteV4); err != nil || !bytes.Equal(again, four) {
		return quote{}, fmt.Errorf("%w: quote has another encoding", attest.ErrEvidence)
	}
	out.chain, err = parseChain(out.GetSignedData().GetCertificationData().GetQeReportCertificationData().GetPckCertificateChainData().GetPckCertChain())
	return out, err
}

// told reads a field that is zeros where the module tells nothing.
func told(field []byte) []byte {
	if allZero(field) {
		return nil
	}
	return field
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
