# docker build -t fastpong .
# docker run --rm -it -v "$PWD/runs:/work/runs" fastpong train --recipe pong
FROM python:3.12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev
COPY . /source
RUN FASTPONG_REQUIRE_EXTENSION=1 pip wheel --no-cache-dir --no-deps -w /wheels /source

FROM python:3.12-slim
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(echo /wheels/*.whl)[plot]"
WORKDIR /work
ENTRYPOINT ["fastpong"]
