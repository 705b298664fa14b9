package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"

	"github.com/ursa-virtual/ursa/lockgate/store/pgtemp"
	"github.com/ursa-virtual/ursa/lockgate/store/storetest"
	"github.com/ursa-virtual/ursa/lockgate/token"
)

// A running site: beacons, and a core that works behind its lock.

// start serves the beacons, puts a policy into force, and enrols the core.
func (s testSite) start(t *testing.T, gateDir, database string) {
	t.Helper()
	ok(t, s.withPass("gate", "policy", "set", "--dir", gateDir, "--permit", "DE", "--attest", "sim", "--max-units", "1000", "--lease", "20s")...)
	enrol := []string{"gate", "enrol", "--dir", gateDir, s.path("core", corePublicName), "--chip", "sim", "--tenant", "acme", "--budget", "100000000"}
	if database != "" {
		enrol = append(enrol, "--store", database)
	}
	ok(t, enrol...)
	for i, address := range s.addresses {
		home := s.path("b" + string(rune('1'+i)))
		serve(t, s.withPass("beacon", "serve", "--dir", home, "--directory", s.path("dir", directoryName), "--sim-dir", s.path("dir", "sim"), "--listen", address, "--metrics", "")...)
	}
}

// serveGate serves a gate's folder, and returns when it does.
func (s testSite) serveGate(t *testing.T, dir, address string, more ...string) (stop func()) {
	t.Helper()
	status := freePort(t)
	stop = serve(t, s.withPass(append([]string{"gate", "serve", "--dir", dir, "--directory", s.path("dir", directoryName), "--listen", address, "--metrics", status}, more...)...)...)
	eventually(t, "the gate serves", func() bool { return epochAt(t, status) > 0 })
	return stop
}

// work runs a workload behind the lock until the test ends, and waits until it runs.
func (s testSite) work(t *testing.T, gates ...string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only on Linux can a workload be held still")
	}
	args := s.withPass("core", "run", "--dir", s.path("core"), "--directory", s.path("dir", directoryName), "--sim-dir", s.path("dir", "sim"), "--want", "1000", "--log", "json")
	for _, g := range gates {
		args = append(args, "--gate", "https://"+g)
	}
	serve(t, append(args, "--", "sh", "-c", "while :; do :; done")...)
	eventually(t, "the workload runs", func() bool { return s.status().State == "running" })
}

func (s testSite) status() (out coreStatus) {
	code, text, _ := cli("core", "status", "--dir", s.path("core"), "--json")
	if code != exitDone || json.Unmarshal([]byte(text), &out) != nil {
		return coreStatus{}
	}
	return out
}

// certificate writes a certificate for this machine and its key, and returns who trusts it.
func (s testSite) certificate(t *testing.T) (cert, key string, trust *http.Client) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = s.path("cert.pem"), s.path("cert.key")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	writeFile(t, cert, text)
	writeFile(t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return cert, key, &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
}

// TestTokensForOthers: relying parties verify the tokens of a running gate with libraries of their own, from nothing but the issuer's
// address: a JSON Web Token by OpenID discovery, and an Entity Attestation Token with the key found there.
func TestTokensForOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.start(t, s.path("gate"), "")
	at := freePort(t)
	cert, key, trust := s.certificate(t)
	issuer := "https://" + at
	s.serveGate(t, s.path("gate"), s.gate, "--issuer", issuer, "--audience", "vault", "--issuer-listen", at, "--tls-cert", cert, "--tls-key", key)
	s.work(t, s.gate)

	ctx := oidc.ClientContext(t.Context(), trust)
	provider, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		t.Fatal(err)
	}
	raw := s.token(t, "--audience", "vault", "--nonce", "from the vault")
	verified, err := provider.Verifier(&oidc.Config{ClientID: "vault", SupportedSigningAlgs: []string{"ES256"}}).Verify(ctx, strings.TrimSpace(raw))
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Verdict       string   `json:"ursa_verdict"`
		Permit        string   `json:"ursa_permit"`
		Jurisdictions []string `json:"ursa_jurisdictions"`
	}
	if err := verified.Claims(&claims); err != nil || claims.Verdict != "Inside" || claims.Permit != "DE" || len(claims.Jurisdictions) != 1 || claims.Jurisdictions[0] != "DE" {
		t.Errorf("%+v %v", claims, err)
	}
	if id := s.status().Core.String(); verified.Subject != id || verified.Nonce != "from the vault" || time.Until(verified.Expiry) > token.MaxTTL {
		t.Errorf("%+v", verified)
	}
	if _, err := provider.Verifier(&oidc.Config{ClientID: "another", SupportedSigningAlgs: []string{"ES256"}}).Verify(ctx, strings.TrimSpace(raw)); err == nil {
		t.Error("accepted for another audience")
	}
	s.verifyEAT(t, []byte(s.token(t, "--audience", "vault", "--form", "eat", "--nonce", "8 bytes!")), publishedKey(t, trust, issuer), issuer)
	refused(t, exitFailed, "no tokens are made here", "core", "token", "--dir", s.path("core"), "--audience", "nobody")
}

// token asks for one; between two leases there is none.
func (s testSite) token(t *testing.T, args ...string) (out string) {
	t.Helper()
	eventually(t, "a token", func() bool {
		var code int
		code, out, _ = cli(append([]string{"core", "token", "--dir", s.path("core")}, args...)...)
		return code == exitDone
	})
	return out
}

// publishedKey is the key of the issuer as it publishes it.
func publishedKey(t *testing.T, client *http.Client, issuer string) *ecdsa.PublicKey {
	t.Helper()
	res, err := client.Get(issuer + token.PathKeys)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var set struct{ Keys []struct{ X, Y string } }
	if err := json.NewDecoder(res.Body).Decode(&set); err != nil || len(set.Keys) != 1 {
		t.Fatal(err, set)
	}
	x, errX := base64.RawURLEncoding.DecodeString(set.Keys[0].X)
	y, errY := base64.RawURLEncoding.DecodeString(set.Keys[0].Y)
	if errX != nil || errY != nil {
		t.Fatal(errX, errY)
	}
	k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (s testSite) verifyEAT(t *testing.T, raw []byte, key *ecdsa.PublicKey, issuer string) {
	t.Helper()
	v, err := cose.NewVerifier(cose.AlgorithmES256, key)
	if err != nil {
		t.Fatal(err)
	}
	var msg cose.Sign1Message
	if err := msg.UnmarshalCBOR(raw); err != nil {
		t.Fatal(err)
	}
	if err := msg.Verify(nil, v); err != nil {
		t.Fatal(err)
	}
	var got map[int]any
	if err := cbor.Unmarshal(msg.Payload, &got); err != nil {
		t.Fatal(err)
	}
	if nonce, _ := got[10].([]byte); got[1] != issuer || got[3] != "vault" || got[265] != token.EATProfile || !bytes.Equal(nonce, []byte("8 bytes!")) {
		t.Errorf("%v", got)
	}
}

// TestTwoGatesOneDatabase: two gates with copies of one folder serve one PostgreSQL database. The one that a core talks to goes; the
// core goes on with the other, and every release is on both ledgers.
func TestTwoGatesOneDatabase(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short: no database server is started")
	}
	pg, err := pgtemp.Start()
	storetest.Postgres(t, err)
	t.Cleanup(pg.Stop)
	dsn, err := pg.Schema(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, 1)
	s.start(t, s.path("gate"), dsn)
	files, err := os.ReadDir(s.path("gate"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.path("gate2"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		writeFile(t, s.path("gate2", f.Name()), readFile(t, s.path("gate", f.Name())))
	}
	second := freePort(t)
	stop := s.serveGate(t, s.path("gate"), s.gate, "--store", dsn)
	s.serveGate(t, s.path("gate2"), second, "--store", dsn)
	s.work(t, s.gate, second)
	stop()
	had := s.status().Leases
	eventually(t, "leases of the second gate", func() bool { return s.status().Leases >= had+2 })
	out := ok(t, "gate", "cores", "--dir", s.path("gate2"))
	if strings.Count(out, "acme") != 1 {
		t.Error(out)
	}
	// The first comes back where it was, on the same database.
	s.serveGate(t, s.path("gate"), s.gate, "--store", dsn)
	if code, _, errOut := cli(s.withPass("gate", "serve", "--dir", s.path("gate2"), "--directory", s.path("dir", directoryName), "--store", "mysql://x", "--listen", second)...); code != exitFailed && code != exitUsage {
		t.Errorf("exit %d: %s", code, errOut)
	}
}
