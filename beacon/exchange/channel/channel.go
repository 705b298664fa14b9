// Package channel is what ursa/1 asks of its QUIC connections, for both ends: TLS 1.3, X25519MLKEM768 and nothing else, no
// resumption, no 0-RTT, one stream, and an exporter value to sign.
//
// What it believes: the TLS certificate is not an identity. It is made anew at each start and nobody looks at it. Who is at the
// other end follows from signatures over the exporter value, inside the exchange.
//
// What it promises: Check refuses every connection that is not exactly so, even where TLS would have refused it already.
//
// What an attacker may do: stand in the middle with two TLS sessions. Their exporter values differ, so neither side's signed value is
// the other's.
package channel

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/ursa-virtual/ursa/beacon/exchange"
)

// ALPN is the one application protocol spoken here.
const ALPN = "ursa/1"

// The refusals of a channel. TLS and QUIC refuse most of this themselves; it is looked at again because the protocol relies on it.
var (
	ErrProtocol   = errors.New("channel does not speak ursa/1")
	ErrTLSVersion = errors.New("channel is not TLS 1.3")
	ErrCurve      = errors.New("channel's key exchange is not X25519MLKEM768")
	ErrResumed    = errors.New("channel was resumed or carries 0-RTT data")
	ErrExporter   = errors.New("channel has no exporter value")
)

// Closed replaces a connection's end by the reason that the other side gave for it, if it gave one: an exchange.RefusedError.
func Closed(err error) error {
	var closed *quic.ApplicationError
	if errors.As(err, &closed) && closed.Remote {
		if reason := exchange.FromCloseCode(uint64(closed.ErrorCode)); reason != nil {
			return reason
		}
	}
	return err
}

// ServerTLS makes a self-signed certificate and the only TLS configuration that a beacon accepts. The certificate is new on
// each start and identifies nobody: the channel is bound by the signatures over its exporter value. Its validity begins an hour
// before now and lasts ten years; nobody checks it.
func ServerTLS(now time.Time) (*tls.Config, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the channel's certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: ALPN},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(10, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return nil, fmt.Errorf("making the channel's certificate: %w", err)
	}
	return &tls.Config{
		Certificates:           []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}},
		MinVersion:             tls.VersionTLS13,
		CurvePreferences:       []tls.CurveID{tls.X25519MLKEM768},
		NextProtos:             []string{ALPN},
		SessionTicketsDisabled: true,
	}, nil
}

// ClientTLS returns the core's half. The server's certificate is not verified because it says nothing; its name is not sent.
func ClientTLS() *tls.Config {
	return &tls.Config{
		InsecureSkipVerify:     true, // the signatures over the exporter value identify the beacon
		MinVersion:             tls.VersionTLS13,
		CurvePreferences:       []tls.CurveID{tls.X25519MLKEM768},
		NextProtos:             []string{ALPN},
		SessionTicketsDisabled: true,
	}
}

// Limits of a connection. A slow phase moves less than 100 kB each way on one stream.
const (
	HandshakeTimeout = 5 * time.Second
	IdleTimeout      = 15 * time.Second
	window           = 128 << 10
)

// QUIC returns the QUIC configuration of one end. streams is how many streams the peer may open: 1 at a beacon, -1 (none) at a core.
func QUIC(streams int64, datagrams bool) *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:           HandshakeTimeout,
		MaxIdleTimeout:                 IdleTimeout,
		InitialStreamReceiveWindow:     window,
		MaxStreamReceiveWindow:         window,
		InitialConnectionReceiveWindow: window,
		MaxConnectionReceiveWindow:     2 * window,
		MaxIncomingStreams:             streams,
		MaxIncomingUniStreams:          -1,
		EnableDatagrams:                datagrams,
	}
}

// Channel is what the exchange takes from a QUIC connection: its exporter values.
type Channel struct {
	Binding, Key [32]byte
}

// Check refuses a connection that is not exactly what ursa/1 asks for, and returns its exporter values.
func Check(conn *quic.Conn) (Channel, error) {
	state := conn.ConnectionState()
	t := state.TLS
	switch {
	case t.NegotiatedProtocol != ALPN:
		return Channel{}, ErrProtocol
	case t.Version != tls.VersionTLS13:
		return Channel{}, ErrTLSVersion
	case t.CurveID != tls.X25519MLKEM768:
		return Channel{}, ErrCurve
	case t.DidResume || state.Used0RTT:
		return Channel{}, ErrResumed
	}
	binding, err := t.ExportKeyingMaterial(exchange.ExporterBinding, nil, 32)
	if err != nil {
		return Channel{}, fmt.Errorf("%w: %w", ErrExporter, err)
	}
	key, err := t.ExportKeyingMaterial(exchange.ExporterKey, nil, 32)
	if err != nil {
		return Channel{}, fmt.Errorf("%w: %w", ErrExporter, err)
	}
	return Channel{Binding: [32]byte(binding), Key: [32]byte(key)}, nil
}
