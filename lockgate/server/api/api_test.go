package api_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/ursa-virtual/ursa/lockgate/lock"
	"github.com/ursa-virtual/ursa/lockgate/server/api"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

// TestPublishedSchemaIsTheOneSpoken holds the OpenAPI document and the types
// together: every path, and every integer key of every object.
func TestPublishedSchemaIsTheOneSpoken(t *testing.T) {
	var doc struct {
		Paths      map[string]any `yaml:"paths"`
		Components struct {
			Schemas map[string]struct {
				Properties map[string]any `yaml:"properties"`
			} `yaml:"schemas"`
		} `yaml:"components"`
	}
	if err := yaml.Unmarshal(api.Schema, &doc); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{api.PathChallenge, api.PathLease, api.PathKey, api.PathBurn, api.PathToken, api.PathLedger + "{path}", api.PathHealth, api.PathReady} {
		if doc.Paths[p] == nil {
			t.Errorf("the schema does not describe %s", p)
		}
	}
	for _, v := range []any{api.Place{}, api.Usage{}, api.Question{}, api.LeaseRequest{}, api.StepRequest{}, api.StepAnswer{}, api.BurnRequest{},
		api.BurnReceipt{}, api.TokenRequest{}, api.TokenAnswer{}, api.Denial{}} {
		typ := reflect.TypeOf(v)
		have := doc.Components.Schemas[typ.Name()].Properties
		if len(have) != typ.NumField() {
			t.Errorf("%s has %d fields, the schema says %d", typ.Name(), typ.NumField(), len(have))
		}
		for i := range typ.NumField() {
			key, _, _ := strings.Cut(typ.Field(i).Tag.Get("cbor"), ",")
			if have[key] == nil {
				t.Errorf("the schema lacks %s of %s (key %s)", typ.Field(i).Name, typ.Name(), key)
			}
		}
	}
}

func TestObjectsComeBack(t *testing.T) {
	q := api.Question{Version: 1, Core: [32]byte{1}, Claim: api.PlaceOf(earth.LatLon{Lat: 51.3, Lon: -9.6}), LockNonce: [32]byte{2}, LockSeq: 3, Binding: [32]byte{4}}
	b, err := canon.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := api.DecodeQuestion(b); err != nil || back != q {
		t.Fatalf("%+v %v", back, err)
	}
	if at, err := q.Claim.LatLon(); err != nil || at.Lat != 51.3 || at.Lon != -9.6 {
		t.Error(at, err)
	}
	if _, err := (api.Place{LatE7: 910_000_000}).LatLon(); !errors.Is(err, api.ErrPlace) {
		t.Error(err)
	}
	u := lock.Usage{Seq: 1, Redeemed: 2, Accepted: 3, Used: 4, Allowance: 5}
	if api.UsageOf(u).Lock() != u {
		t.Error("usage changes on the way")
	}
	q.Version = 2
	if b, err = canon.Marshal(q); err != nil {
		t.Fatal(err)
	}
	if _, err := api.DecodeQuestion(b); !errors.Is(err, api.ErrVersion) {
		t.Error(err)
	}
	d, err := api.Denial{RefusedBy: "verdict", Reason: "outside", Verdict: "Outside"}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := api.DecodeDenial(d); err != nil || back.RefusedBy != "verdict" {
		t.Error(back, err)
	}
	for name, state := range map[string]*tls.ConnectionState{"none": nil, "old": {Version: tls.VersionTLS12}, "classical": {Version: tls.VersionTLS13, CurveID: tls.X25519}} {
		if _, err := api.Binding(state); !errors.Is(err, api.ErrChannel) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzDecode: no bytes panic, and what is read has one encoding.
func FuzzDecode(f *testing.F) {
	for _, v := range []any{api.Question{Version: 1}, api.LeaseRequest{Version: 1, Proof: []byte{1}}, api.StepRequest{Version: 1}, api.StepAnswer{Version: 1},
		api.BurnRequest{Version: 1}, api.BurnReceipt{Version: 1}, api.TokenRequest{Version: 1}, api.TokenAnswer{Version: 1}, api.Denial{Version: 1}} {
		b, err := canon.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	decoders := []func([]byte) (any, error){
		func(b []byte) (any, error) { return api.DecodeQuestion(b) },
		func(b []byte) (any, error) { return api.DecodeLeaseRequest(b) },
		func(b []byte) (any, error) { return api.DecodeStepRequest(b) },
		func(b []byte) (any, error) { return api.DecodeStepAnswer(b) },
		func(b []byte) (any, error) { return api.DecodeBurnRequest(b) },
		func(b []byte) (any, error) { return api.DecodeBurnReceipt(b) },
		func(b []byte) (any, error) { return api.DecodeTokenRequest(b) },
		func(b []byte) (any, error) { return api.DecodeTokenAnswer(b) },
		func(b []byte) (any, error) { return api.DecodeDenial(b) },
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for i, decode := range decoders {
			v, err := decode(b)
			if err != nil {
				continue
			}
			if again, err := canon.Marshal(v); err != nil || !bytes.Equal(again, b) {
				t.Fatal(fmt.Sprint(i), "two encodings", err)
			}
		}
	})
}
