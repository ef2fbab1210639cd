// Starts the film, unless the reader has asked for less motion.
for (const film of document.querySelectorAll("video.film")) {
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) film.play().catch(() => {});
}
