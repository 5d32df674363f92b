// Under AddressSanitizer a library that is closed stays loaded: what a Vulkan driver keeps for the
// program's life would be taken for leaks once its own pointers are gone.
#if defined(__SANITIZE_ADDRESS__)
extern "C" int dlclose(void*) {
  return 0;
}
#endif
