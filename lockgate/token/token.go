// Package token hands an inside verdict on to systems that exist: as a JSON Web
// Token (RFC 7519) that a key manager, a cloud's token service or an orchestrator
// accepts by OpenID discovery, unchanged; and as an Entity Attestation Token in
// CBOR (RFC 9711, COSE RFC 9052) for those that speak attestation.
//
// What it promises: a token says what one verdict said, to one audience, for a
// short time that the verdict still holds. It names the core, the policy, the
// permitted region by its expression and hash, the jurisdictions that the region
// touched, and the assumptions: speed class, f, attestation platform. It names no
// place.
//
// What it believes: its caller, who has a granted decision in hand (package
// grant). What an attacker may do: steal a token and use it at its audience until
// it ends; that is what bearer tokens are, and why they are short. The
// signatures are ECDSA or EdDSA, because that is what the systems of today
// verify: a quantum computer could forge tokens, never leases.
package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
)

// Algorithm of a signature, by its JOSE name.
type Algorithm string

// The algorithms.
const (
	ES256 Algorithm = "ES256" // ECDSA with P-256 and SHA-256: what everybody verifies
	EdDSA Algorithm = "EdDSA" // Ed25519
)

// MaxTTL is the longest life of a token.
const MaxTTL = 10 * time.Minute

// Refusals.
var (
	ErrAlgorithm = errors.New("token: use ES256 or EdDSA")
	ErrKey       = errors.New("token: not a signing key of this program")
	ErrIssuer    = errors.New("token: the issuer must be an https address without query and fragment")
	ErrClaims    = errors.New("token: subject, audience, policy and permit must be set, and it must end after it begins")
	ErrTTL       = errors.New("token: a token lives ten minutes at most")
)

// Key signs tokens.
type Key struct {
	alg    Algorithm
	signer crypto.Signer
	id     string // RFC 7638 thumbprint
}

// NewKey draws a key.
func NewKey(alg Algorithm, random io.Reader) (*Key, error) {
	if random == nil {
		random = rand.Reader
	}
	switch alg {
	case ES256:
		k, err := ecdsa.GenerateKey(elliptic.P256(), random)
		if err != nil {
			return nil, fmt.Errorf("token: %w", err)
		}
		return wrap(k)
	case EdDSA:
		_, k, err := ed25519.GenerateKey(random)
		if err != nil {
			return nil, fmt.Errorf("token: %w", err)
		}
		return wrap(k)
	}
	return nil, ErrAlgorithm
}

func wrap(s crypto.Signer) (*Key, error) {
	k := &Key{signer: s}
	switch s := s.(type) {
	case *ecdsa.PrivateKey:
		if s.Curve != elliptic.P256() {
			return nil, ErrKey
		}
		k.alg = ES256
	case ed25519.PrivateKey:
		k.alg = EdDSA
	default:
		return nil, ErrKey
	}
	jwk, err := k.jwk()
	if err != nil {
		return nil, err
	}
	// The thumbprint covers the required members in their order of names.
	delete(jwk, "alg")
	delete(jwk, "use")
	b, err := json.Marshal(jwk) // maps are written in the order of keys
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	sum := sha256.Sum256(b)
	k.id = base64.RawURLEncoding.EncodeToString(sum[:])
	return k, nil
}

// EncodePEM is the secret text to keep (PKCS #8).
func (k *Key) EncodePEM() ([]byte, error) {
	b, err := x509.MarshalPKCS8PrivateKey(k.signer)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}), nil
}

// ParsePEM reads what EncodePEM wrote.
func ParsePEM(text []byte) (*Key, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" || len(strings.TrimSpace(string(rest))) != 0 {
		return nil, ErrKey
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	s, ok := k.(crypto.Signer)
	if !ok {
		return nil, ErrKey
	}
	return wrap(s)
}

// String names the key without showing it.
func (k *Key) String() string { return fmt.Sprintf("%s token key %s", k.alg, k.id) }

// GoString is String.
func (k *Key) GoString() string { return k.String() }

// jwk is the public half as a JSON Web Key (RFC 7517, 8037).
func (k *Key) jwk() (map[string]string, error) {
	b64 := base64.RawURLEncoding.EncodeToString
	switch pub := k.signer.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		if err != nil || len(point) != 65 {
			return nil, ErrKey
		}
		return map[string]string{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:]), "alg": string(k.alg), "use": "sig"}, nil
	case ed25519.PublicKey:
		return map[string]string{"kty": "OKP", "crv": "Ed25519", "x": b64(pub), "alg": string(k.alg), "use": "sig"}, nil
	}
	return nil, ErrKey
}

// sign signs a message in the way of JOSE and COSE: r and s, or Ed25519.
func (k *Key) sign(msg []byte) ([]byte, error) {
	switch s := k.signer.(type) {
	case *ecdsa.PrivateKey:
		sum := sha256.Sum256(msg)
		r, t, err := ecdsa.Sign(rand.Reader, s, sum[:])
		if err != nil {
			return nil, fmt.Errorf("token: %w", err)
		}
		var out [64]byte
		r.FillBytes(out[:32])
		t.FillBytes(out[32:])
		return out[:], nil
	case ed25519.PrivateKey:
		return ed25519.Sign(s, msg), nil
	}
	return nil, ErrKey
}

// Claims are what a token says of a verdict.
type Claims struct {
	Subject       string    // the core's id
	Audience      string    // who may rely on it
	ID            string    // one token, one id
	Nonce         string    // of the one who will rely on it; may be empty
	IssuedAt      time.Time // the gate's clock
	Expires       time.Time // never after the verdict ceases to hold
	Policy        string    // hash, in hexadecimal digits
	Permit        string    // the permitted region, as the policy writes it
	PermitHash    string    // what it meant, in hexadecimal digits
	Jurisdictions []string  // that the region touches
	Speed         string    // assumed: vacuum or fibre
	F             uint64    // assumed: faulty domains at most
	Platform      string    // of the core's attestation, such as sim
	Proof         string    // hash, in hexadecimal digits
}

func (c Claims) check() error {
	if c.Subject == "" || c.Audience == "" || c.ID == "" || c.Policy == "" || c.Permit == "" || c.Proof == "" || !c.Expires.After(c.IssuedAt) {
		return ErrClaims
	}
	if c.Expires.Sub(c.IssuedAt) > MaxTTL {
		return ErrTTL
	}
	return nil
}

// Issuer makes tokens under one name.
type Issuer struct {
	url string
	key *Key
	old []*Key // still shown to relying parties
}

// NewIssuer names itself by an https address, under which relying parties find
// its discovery document. Old keys are no longer signed with but still shown, so
// that a key can be replaced.
func NewIssuer(address string, key *Key, old ...*Key) (*Issuer, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("%w: %q", ErrIssuer, address)
	}
	if key == nil {
		return nil, ErrKey
	}
	return &Issuer{url: strings.TrimSuffix(address, "/"), key: key, old: old}, nil
}

// JWT makes a JSON Web Token.
func (i *Issuer) JWT(c Claims) (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	head, err := json.Marshal(map[string]string{"alg": string(i.key.alg), "typ": "JWT", "kid": i.key.id})
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	body, err := json.Marshal(struct {
		Issuer        string   `json:"iss"`
		Subject       string   `json:"sub"`
		Audience      string   `json:"aud"`
		Expires       int64    `json:"exp"`
		NotBefore     int64    `json:"nbf"`
		IssuedAt      int64    `json:"iat"`
		ID            string   `json:"jti"`
		Nonce         string   `json:"nonce,omitempty"`
		Verdict       string   `json:"ursa_verdict"`
		Policy        string   `json:"ursa_policy"`
		Permit        string   `json:"ursa_permit"`
		PermitHash    string   `json:"ursa_permit_hash,omitempty"`
		Jurisdictions []string `json:"ursa_jurisdictions,omitempty"`
		Speed         string   `json:"ursa_speed"`
		F             uint64   `json:"ursa_f"`
		Platform      string   `json:"ursa_platform"`
		Proof         string   `json:"ursa_proof"`
	}{i.url, c.Subject, c.Audience, c.Expires.Unix(), c.IssuedAt.Unix(), c.IssuedAt.Unix(), c.ID, c.Nonce, inside,
		c.Policy, c.Permit, c.PermitHash, c.Jurisdictions, c.Speed, c.F, c.Platform, c.Proof})
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body)
	sig, err := i.key.sign([]byte(text))
	if err != nil {
		return "", err
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig), nil
}

// inside is the only verdict that is handed on.
const inside = "Inside"
