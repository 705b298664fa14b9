// Package api is the one schema between cores and gates, over HTTP/3 and
// HTTP/2 alike.
//
//	POST /v1/challenge   a signed Question        → 200: a challenge envelope
//	POST /v1/lease       a signed LeaseRequest    → 200: a lease envelope
//	POST /v1/burn        a signed BurnRequest     → 200: a BurnReceipt
//	POST /v1/key         a signed StepRequest     → 200: a StepAnswer
//	POST /v1/token       a signed TokenRequest    → 200: a TokenAnswer
//	GET  /v1/ledger/…    checkpoint and tiles of the ledger (C2SP tlog-tiles)
//	GET  /.well-known/…  issuer of tokens: OpenID discovery, keys
//	GET  /healthz        the process lives        → 200
//	GET  /readyz         it could grant           → 200, else 503
//
// Bodies are deterministic CBOR of media type application/cbor. A refusal is a
// Denial with status 403 (a check said no), 401 (the signature or the channel),
// 400 (not a request), 413 (too large), 429 (too often) or 503 (the gate's own
// trouble: nothing is known, send the same request again). Only a 403 is final.
//
// Why CBOR and not protobuf or JSON: what a core signs is bytes, and the same
// canonical encoding that statements, proofs and leases have means that there
// is one decoder, with one set of rules, for everything that comes from outside.
// HTTP is the carrier only: proxies and load balancers may stand between as
// long as they pass TLS through, since requests are signed for the connection.
//
// Who is who: the TLS certificate says nothing. A core's request is an envelope
// signed by its enrolled key over the connection's exporter value, so it is of
// no use on any other connection; the gate's answers are envelopes signed by the
// gate.
package api

import (
	"crypto/tls"
	_ "embed" // the published schema
	"errors"
	"fmt"
	"math"

	"github.com/ursa-virtual/ursa/beacon/statement"
	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// Version of the schema.
const Version = 1

// Schema is the published description (OpenAPI 3.1).
//
//go:embed openapi.yaml
var Schema []byte

// Paths.
const (
	PathChallenge = "/v1/challenge"
	PathLease     = "/v1/lease"
	PathBurn      = "/v1/burn"
	PathKey       = "/v1/key"
	PathToken     = "/v1/token"
	PathLedger    = "/v1/ledger/"
	PathHealth    = "/healthz"
	PathReady     = "/readyz"
)

// MediaType of all bodies.
const MediaType = "application/cbor"

// Limits in bytes.
const (
	MaxQuestion     = 16 << 10
	MaxLeaseRequest = statement.MaxProofSize + 16<<10
	MaxAnswer       = 64 << 10
)

// Contexts of the signatures.
const (
	TypeQuestion identity.ObjectType = "question"
	TypeStep     identity.ObjectType = "step"
	TypeBurn     identity.ObjectType = "burn"
	TypeToken    identity.ObjectType = "token"
	TypeRequest                      = identity.TypeRequest
)

// exporterLabel names the exporter value that requests are signed over.
const exporterLabel = "EXPORTER-ursa/1 gate"

// Refusals.
var (
	ErrEncoding = errors.New("api: not a request of this schema")
	ErrVersion  = errors.New("api: unknown version of the schema")
	ErrPlace    = errors.New("api: the claimed place is no place")
	ErrChannel  = errors.New("api: the connection is not TLS 1.3 with X25519MLKEM768")
	ErrDenial   = errors.New("api: not a denial")
)

// Place is a latitude and longitude in ten-millionths of a degree: a claim that
// chooses which beacons are asked, and proves nothing.
type Place struct {
	LatE7 int64 `cbor:"1,keyasint"`
	LonE7 int64 `cbor:"2,keyasint"`
}

// PlaceOf rounds a position.
func PlaceOf(p earth.LatLon) Place {
	return Place{LatE7: int64(math.Round(p.Lat * 1e7)), LonE7: int64(math.Round(p.Lon * 1e7))}
}

// LatLon is the position.
func (p Place) LatLon() (earth.LatLon, error) {
	at := earth.LatLon{Lat: float64(p.LatE7) / 1e7, Lon: float64(p.LonE7) / 1e7}
	if err := at.Validate(); err != nil {
		return earth.LatLon{}, fmt.Errorf("%w: %w", ErrPlace, err)
	}
	return at, nil
}

// Question asks for a challenge.
type Question struct {
	Version   uint64      `cbor:"1,keyasint"`
	Core      identity.ID `cbor:"2,keyasint"`
	Claim     Place       `cbor:"3,keyasint"`
	LockNonce [32]byte    `cbor:"4,keyasint"`
	LockSeq   uint64      `cbor:"5,keyasint"`
	Binding   [32]byte    `cbor:"6,keyasint"` // of this connection
}

// Usage is the lock's account; see lock.Usage.
type Usage struct {
	Seq       uint64 `cbor:"1,keyasint"`
	Redeemed  uint64 `cbor:"2,keyasint"`
	Accepted  uint64 `cbor:"3,keyasint"`
	Used      uint64 `cbor:"4,keyasint"`
	Allowance uint64 `cbor:"5,keyasint"`
}

// UsageOf translates.
func UsageOf(u lock.Usage) Usage {
	return Usage{Seq: u.Seq, Redeemed: u.Redeemed, Accepted: uint64(u.Accepted), Used: uint64(u.Used), Allowance: uint64(u.Allowance)}
}

// Lock translates back.
func (u Usage) Lock() lock.Usage {
	return lock.Usage{Seq: u.Seq, Redeemed: u.Redeemed, Accepted: lock.Units(u.Accepted), Used: lock.Units(u.Used), Allowance: lock.Units(u.Allowance)}
}

// LeaseRequest asks for a lease. It is the lock's signed usage report as well:
// the signature of the envelope covers both.
type LeaseRequest struct {
	Version   uint64      `cbor:"1,keyasint"`
	Core      identity.ID `cbor:"2,keyasint"`
	RequestID [16]byte    `cbor:"3,keyasint"`
	LockNonce [32]byte    `cbor:"4,keyasint"`
	LockSeq   uint64      `cbor:"5,keyasint"`
	Want      uint64      `cbor:"6,keyasint"` // units of compute
	Usage     Usage       `cbor:"7,keyasint"`
	Proof     []byte      `cbor:"8,keyasint"`
	Binding   [32]byte    `cbor:"9,keyasint"`  // of this connection
	Burn      [16]byte    `cbor:"10,keyasint"` // the burn that pays; zero: none
}

// TokenRequest asks for a token about the verdict behind a lease that is out.
type TokenRequest struct {
	Version   uint64      `cbor:"1,keyasint"`
	Core      identity.ID `cbor:"2,keyasint"`
	RequestID [16]byte    `cbor:"3,keyasint"` // of the request that was answered with the lease
	Audience  string      `cbor:"4,keyasint"` // who is to rely on it
	Nonce     string      `cbor:"5,keyasint"` // of that one; may be empty
	Form      string      `cbor:"6,keyasint"` // FormJWT or FormEAT
	Binding   [32]byte    `cbor:"7,keyasint"` // of this connection
}

// The forms of a token.
const (
	FormJWT = "jwt"
	FormEAT = "eat"
)

// TokenAnswer is the token.
type TokenAnswer struct {
	Version uint64 `cbor:"1,keyasint"`
	Token   []byte `cbor:"2,keyasint"`
}

// Encode is the body of the answer.
func (a TokenAnswer) Encode() ([]byte, error) {
	a.Version = Version
	return canon.Marshal(a)
}

// DecodeTokenAnswer reads the body of the answer.
func DecodeTokenAnswer(b []byte) (v TokenAnswer, err error) {
	return v, decode(b, &v, MaxAnswer, func() uint64 { return v.Version })
}

// DecodeTokenRequest reads the payload of a token request's envelope.
func DecodeTokenRequest(payload []byte) (v TokenRequest, err error) {
	return v, decode(payload, &v, MaxQuestion, func() uint64 { return v.Version })
}

// StepRequest asks for the key of a later step of the newest lease.
type StepRequest struct {
	Version   uint64      `cbor:"1,keyasint"`
	Core      identity.ID `cbor:"2,keyasint"`
	RequestID [16]byte    `cbor:"3,keyasint"` // of the request that was answered with the lease
	Step      uint32      `cbor:"4,keyasint"`
	Usage     Usage       `cbor:"5,keyasint"`
	Binding   [32]byte    `cbor:"6,keyasint"` // of this connection
	Previous  [32]byte    `cbor:"7,keyasint"` // key of the step before
}

// BurnRequest burns units, for good. The core's signature under it is the burn.
type BurnRequest struct {
	Version uint64      `cbor:"1,keyasint"`
	Core    identity.ID `cbor:"2,keyasint"`
	ID      [16]byte    `cbor:"3,keyasint"`
	Units   uint64      `cbor:"4,keyasint"`
	Binding [32]byte    `cbor:"5,keyasint"` // of this connection
}

// BurnReceipt is the burn's leaf in the ledger. Its inclusion is proven from the
// ledger's tiles.
type BurnReceipt struct {
	Version uint64 `cbor:"1,keyasint"`
	Index   uint64 `cbor:"2,keyasint"`
	Leaf    []byte `cbor:"3,keyasint"`
}

// Encode is the body of the answer.
func (r BurnReceipt) Encode() ([]byte, error) {
	r.Version = Version
	return canon.Marshal(r)
}

// DecodeBurnReceipt reads the body of the answer.
func DecodeBurnReceipt(b []byte) (r BurnReceipt, err error) {
	return r, decode(b, &r, MaxAnswer, func() uint64 { return r.Version })
}

// DecodeBurnRequest reads the payload of a burn request's envelope.
func DecodeBurnRequest(payload []byte) (r BurnRequest, err error) {
	return r, decode(payload, &r, MaxQuestion, func() uint64 { return r.Version })
}

// decode reads an object of this version of the schema.
func decode(b []byte, to any, limit int, version func() uint64) error {
	if err := canon.Unmarshal(b, to, limit); err != nil {
		return fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	if version() != Version {
		return ErrVersion
	}
	return nil
}

// StepAnswer is the key. It is of no use to anybody but the lock that was fed
// the lease, which checks it against the key before.
type StepAnswer struct {
	Version uint64   `cbor:"1,keyasint"`
	Step    uint32   `cbor:"2,keyasint"`
	Key     [32]byte `cbor:"3,keyasint"`
}

// Encode is the body of the answer.
func (a StepAnswer) Encode() ([]byte, error) {
	a.Version = Version
	return canon.Marshal(a)
}

// DecodeStepAnswer reads the body of the answer.
func DecodeStepAnswer(b []byte) (v StepAnswer, err error) {
	return v, decode(b, &v, MaxAnswer, func() uint64 { return v.Version })
}

// DecodeStepRequest reads the payload of a step request's envelope.
func DecodeStepRequest(payload []byte) (v StepRequest, err error) {
	return v, decode(payload, &v, MaxQuestion, func() uint64 { return v.Version })
}

// Denial is a refusal.
type Denial struct {
	Version   uint64 `cbor:"1,keyasint"`
	RefusedBy string `cbor:"2,keyasint"` // short name of the check
	Reason    string `cbor:"3,keyasint"` // one line for people
	Verdict   string `cbor:"4,keyasint"` // of the locator; empty when it did not come to one
}

// Encode is the body of a refusal.
func (d Denial) Encode() ([]byte, error) {
	d.Version = Version
	return canon.Marshal(d)
}

// DecodeDenial reads the body of a refusal.
func DecodeDenial(b []byte) (Denial, error) {
	var d Denial
	if err := canon.Unmarshal(b, &d, MaxAnswer); err != nil || d.Version != Version {
		return Denial{}, ErrDenial
	}
	return d, nil
}

// Seal signs a question or lease request of the core.
func Seal(core *identity.Private, t identity.ObjectType, v any) ([]byte, error) {
	payload, err := canon.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	env, err := identity.Seal(core, t, payload)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	return env.Encode()
}

// DecodeQuestion reads the payload of a question's envelope.
func DecodeQuestion(payload []byte) (v Question, err error) {
	return v, decode(payload, &v, MaxQuestion, func() uint64 { return v.Version })
}

// DecodeLeaseRequest reads the payload of a lease request's envelope.
func DecodeLeaseRequest(payload []byte) (v LeaseRequest, err error) {
	return v, decode(payload, &v, MaxLeaseRequest, func() uint64 { return v.Version })
}

// Binding is what a request on a connection has to be signed over. Connections
// that are not TLS 1.3 with the hybrid key exchange, or were resumed, have none.
func Binding(state *tls.ConnectionState) ([32]byte, error) {
	if state == nil || state.Version != tls.VersionTLS13 || state.CurveID != tls.X25519MLKEM768 || state.DidResume {
		return [32]byte{}, ErrChannel
	}
	b, err := state.ExportKeyingMaterial(exporterLabel, nil, 32)
	if err != nil {
		return [32]byte{}, fmt.Errorf("%w: %w", ErrChannel, err)
	}
	return [32]byte(b), nil
}
