package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ursa-virtual/ursa/lockgate/store"
	"github.com/ursa-virtual/ursa/lockgate/store/storetest"
)

// TestFullFileSystem fills a real, small file system under a store, and mounts it
// read-only: no grant, and once there is room again the same request is granted
// once.
func TestFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("no small file system can be mounted here: %v", err)
	}
	defer func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }()
	ctx := t.Context()
	path, ballast := filepath.Join(dir, "gate.db"), filepath.Join(dir, "ballast")
	s := open(t, path, store.Options{})
	storetest.Enrol(t, s, 1<<40)
	if _, err := s.Grant(ctx, storetest.Nth(1, 5)); err != nil {
		t.Fatal(err)
	}
	for err := error(nil); err == nil; {
		var f *os.File
		if f, err = os.OpenFile(ballast, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err == nil {
			_, err = f.Write(make([]byte, 4096))
			_ = f.Close()
		}
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	big := storetest.Nth(2, 5)
	big.Response = make([]byte, 64<<10)
	if r, err := s.Grant(ctx, big); err == nil {
		t.Fatalf("granted on a full disk: %+v", r.Leaf)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Grant(ctx, big); err != nil || r.Repeated {
		t.Fatalf("with room again: %v", err)
	}
	if a, err := s.Account(ctx, storetest.Core); err != nil || a.Spent != 10 {
		t.Fatalf("%d spent, %v", a.Spent, err)
	}
	if err := s.Check(ctx); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if s, err := store.OpenSQLite(ctx, path, store.Options{}); err == nil {
		_ = s.Close()
		t.Fatal("a store on a read-only file system was opened: it could not raise its fencing epoch")
	}
}
