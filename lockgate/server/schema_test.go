package server_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/ursa-virtual/ursa/lockgate/grant"
	"github.com/ursa-virtual/ursa/lockgate/grant/granttest"
	"github.com/ursa-virtual/ursa/lockgate/server"
	"github.com/ursa-virtual/ursa/lockgate/server/api"
	tokens "github.com/ursa-virtual/ursa/lockgate/token"
)

type schema struct {
	Paths      map[string]map[string]any `yaml:"paths"`
	Components struct {
		Refusals map[string]string `yaml:"x-refusals"`
	} `yaml:"components"`
}

func published(t *testing.T) (doc schema) {
	t.Helper()
	if err := yaml.Unmarshal(api.Schema, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestEveryRefusalIsPublished: the short names in the code and in the schema are the same.
func TestEveryRefusalIsPublished(t *testing.T) {
	code := map[string]bool{}
	for _, dir := range []string{"../grant", "../policy"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				constants(t, file, code)
			}
		}
	}
	doc := published(t).Components.Refusals
	for name := range code {
		if doc[name] == "" {
			t.Errorf("the schema does not say what %q means", name)
		}
	}
	for name := range doc {
		if !code[name] {
			t.Errorf("the schema has %q, which nothing refuses by", name)
		}
	}
	if len(code) < 40 {
		t.Errorf("only %d names found: %v", len(code), slices.Sorted(maps.Keys(code)))
	}
}

// constants collects the values of the constants whose names begin with Refused or Rule.
func constants(t *testing.T, file string, into map[string]bool) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range v.Names {
			if i >= len(v.Values) || !strings.HasPrefix(name.Name, "Refused") && !strings.HasPrefix(name.Name, "Rule") {
				continue
			}
			if lit, ok := v.Values[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				s, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				into[s] = true
			}
		}
		return true
	})
}

// TestEveryPathIsServed: what the schema publishes is there, with the method that it names, and with no other.
func TestEveryPathIsServed(t *testing.T) {
	key, err := tokens.NewKey(tokens.EdDSA, nil)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := tokens.NewIssuer("https://gate.test", key)
	if err != nil {
		t.Fatal(err)
	}
	s := granttest.New(t, granttest.WithGate(func(c *grant.Config) { c.Audiences = []string{"vault"} }))
	srv, err := server.New(server.Config{Gate: s.Gate, Tokens: issuer, Ledger: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})})
	if err != nil {
		t.Fatal(err)
	}
	doc := published(t)
	for path, methods := range doc.Paths {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			r := httptest.NewRequest(method, strings.ReplaceAll(path, "{path}", "checkpoint"), strings.NewReader("x"))
			r.Header.Set("Content-Type", api.MediaType)
			w := httptest.NewRecorder()
			srv.Handler().ServeHTTP(w, r)
			_, published := methods[strings.ToLower(method)]
			if served := w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed; served != published {
				t.Errorf("%s %s: status %d, in the schema: %v", method, path, w.Code, published)
			}
		}
	}
	if len(doc.Paths) < 10 {
		t.Errorf("only %d paths", len(doc.Paths))
	}
}

// TestSomePathsAreNotServed: nothing else is.
func TestSomePathsAreNotServed(t *testing.T) {
	srv, err := server.New(server.Config{Gate: granttest.New(t).Gate})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/v1/", "/v2/lease", api.PathToken, tokens.PathKeys, "/metrics", "/debug/pprof/"} {
		w := httptest.NewRecorder()
		srv.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, nil))
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
}
